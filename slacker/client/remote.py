"""Remote functions as Python callables, for callers of every kind.

``T`` is what a call returns: a Deferred, an asyncio Future (:mod:`slacker.client.aio`) or the result itself
(:mod:`slacker.client.blocking`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from attrs import frozen

from slacker.errors import ConfigurationError

T = TypeVar("T")


@frozen
class RemoteFunction(Generic[T]):
    """One function of one namespace; calling it calls the server. It takes positional arguments only."""

    _call: Callable[..., T]  # call(namespace, function, args, **options) of a client
    namespace: str
    name: str
    options: Mapping[str, Any] = {}

    @classmethod
    def named(cls, call: Callable[..., T], full_name: str, options: Mapping[str, Any]) -> RemoteFunction[T]:
        """From ``namespace/function``.

        :raises ConfigurationError: if the name has no slash.
        """
        namespace, slash, name = full_name.partition("/")
        if not (namespace and slash and name):
            raise ConfigurationError(f"function {full_name!r} should be namespace/function")
        return cls(call, namespace, name, options)

    def __call__(self, *args: Any) -> T:
        return self._call(self.namespace, self.name, list(args), **self.options)

    def with_options(self, **options: Any) -> RemoteFunction[T]:
        """The same function with more options; those given here win."""
        return RemoteFunction(self._call, self.namespace, self.name, {**self.options, **options})


@frozen
class Namespace(Generic[T]):
    """The functions of a namespace: ``api.rand_ints(5)`` calls ``rand-ints``; an item is verbatim."""

    _call: Callable[..., T]
    _name: str

    def __getattr__(self, attribute: str) -> RemoteFunction[T]:
        if attribute.startswith("_"):  # what copy, IPython and the like ask every object for
            raise AttributeError(attribute)
        return self[attribute.replace("_", "-")]

    def __getitem__(self, name: str) -> RemoteFunction[T]:
        return RemoteFunction(self._call, self._name, name)
