"""Remote functions as Python callables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred

from slacker.errors import ConfigurationError

#: ``call(namespace, function, args, **options)`` of a client or a cluster client.
Call = Callable[..., Deferred[Any]]


@frozen
class RemoteFunction:
    """One function of one namespace; calling it calls the server. It takes positional arguments only."""

    _call: Call
    namespace: str
    name: str
    options: Mapping[str, Any] = {}

    @classmethod
    def named(cls, call: Call, full_name: str, options: Mapping[str, Any]) -> RemoteFunction:
        """From ``namespace/function``.

        :raises ConfigurationError: if the name has no slash.
        """
        namespace, slash, name = full_name.partition("/")
        if not (namespace and slash and name):
            raise ConfigurationError(f"function {full_name!r} should be namespace/function")
        return cls(call, namespace, name, options)

    def __call__(self, *args: Any) -> Deferred[Any]:
        return self._call(self.namespace, self.name, args, **self.options)

    def with_options(self, **options: Any) -> RemoteFunction:
        """The same function with more options; those given here win."""
        return RemoteFunction(self._call, self.namespace, self.name, {**self.options, **options})


@frozen
class Namespace:
    """The functions of a namespace: ``api.rand_ints(5)`` calls ``rand-ints``; an item is verbatim."""

    _call: Call
    _name: str

    def __getattr__(self, attribute: str) -> RemoteFunction:
        if attribute.startswith("_"):  # what copy, IPython and the like ask every object for
            raise AttributeError(attribute)
        return self[attribute.replace("_", "-")]

    def __getitem__(self, name: str) -> RemoteFunction:
        return RemoteFunction(self._call, self._name, name)
