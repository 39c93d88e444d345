"""What a server exposes: modules and maps of functions, under their wire names, with their metadata."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import ModuleType
from typing import Any, TypeVar, overload

from attrs import define, field

from slacker.content.values import Keyword, List, Symbol
from slacker.errors import ConfigurationError

AnyFunction = Callable[..., Any]
F = TypeVar("F", bound=AnyFunction)

#: What stands for one namespace in a map: a module, or its functions by their verbatim wire names.
NamespaceContent = ModuleType | Mapping[str, AnyFunction]

NOT_FOUND_HANDLER = "-slacker-function-not-found"
_NOT_FOUND_HANDLER_IN_PYTHON = "_slacker_function_not_found"

_NAME_MARK = "__slacker_name__"
_HIDDEN_MARK = "__slacker_hidden__"
_NONBLOCKING_MARK = "__slacker_nonblocking__"


@define
class Nonblocking:
    """Modules and maps whose every function runs on the reactor (made by :func:`nonblocking`)."""

    content: Exposable


Exposable = ModuleType | Mapping[str, NamespaceContent] | Nonblocking


def expose(*, name: str) -> Callable[[F], F]:
    """Expose the decorated function of a module under this wire name, verbatim, private or not."""
    if not name:
        raise ConfigurationError("@expose(name=…) needs a name that is not empty")

    def mark(function: F) -> F:
        setattr(function, _NAME_MARK, name)
        return function

    return mark


def no_slacker(function: F) -> F:
    """Keep the decorated function of a module from being exposed."""
    setattr(function, _HIDDEN_MARK, True)
    return function


@overload
def nonblocking(target: ModuleType | Mapping[str, NamespaceContent]) -> Nonblocking: ...
@overload
def nonblocking(target: F) -> F: ...
def nonblocking(target: Any) -> Any:
    """Run a function on the reactor, not in a worker thread: it never blocks, and may return a Deferred.

    Given a module or a map of namespaces, it says so of every function in it::

        SlackerServer([nonblocking(myapp.api)])
    """
    if isinstance(target, (ModuleType, Mapping)):
        return Nonblocking(target)
    try:
        setattr(target, _NONBLOCKING_MARK, True)
    except AttributeError:  # built-in functions and bound methods carry no marks; a partial does
        target = partial(target)
        setattr(target, _NONBLOCKING_MARK, True)
    return target


@define(eq=False)
class Function:
    """One exposed function.

    :ivar on_reactor: where it runs.
    :ivar metadata: what inspection answers.
    :ivar allow: whether a peer (a :class:`~slacker.server.connection.PeerInfo`) may call it; None: every
        peer.
    """

    namespace: str
    name: str
    call: AnyFunction
    on_reactor: bool
    metadata: dict[Keyword, Any] = field(repr=False)
    allow: Callable[[Any], bool] | None = None

    @property
    def full_name(self) -> str:
        """``namespace/name``, as it stands in a request."""
        return f"{self.namespace}/{self.name}"


class Functions:
    """Every function of one server, by the name a request carries.

    :param exposed: modules (exposed under their dotted names, functions in kebab-case), maps of namespaces,
        or either of these through :func:`nonblocking`.
    :raises ConfigurationError: a wrong name, something that is no function, or two functions of one name.
    """

    def __init__(self, exposed: Iterable[Exposable] = ()) -> None:
        self._by_name: dict[str, Function] = {}  # also in Python's spelling
        #: The function of this name, in either spelling, or None. The dict's own method: it is part of every
        #: call.
        self.find: Callable[[str], Function | None] = self._by_name.get
        self._namespaces: dict[str, dict[str, Function]] = {}
        for item in exposed:
            self.add(item)

    def add(
        self,
        exposed: Exposable,
        *,
        on_reactor: bool = False,
        allow: Callable[[Any], bool] | None = None,
    ) -> None:
        """Expose one more module or map.

        :param on_reactor: as through :func:`nonblocking`.
        :param allow: whether a peer may call these functions; others are refused with acl-reject.
        """
        before = set(self._by_name)
        self._expose(exposed, on_reactor)
        for name in self._by_name.keys() - before:
            self._by_name[name].allow = allow

    def _expose(self, exposed: Exposable, on_reactor: bool) -> None:
        if isinstance(exposed, Nonblocking):
            self._expose(exposed.content, True)
        elif isinstance(exposed, ModuleType):
            self._add_module(exposed.__name__, exposed, on_reactor)
        elif isinstance(exposed, Mapping):
            for namespace, content in exposed.items():
                if isinstance(content, ModuleType):
                    self._add_module(namespace, content, on_reactor)
                elif isinstance(content, Mapping):
                    self._add_map(namespace, content, on_reactor)
                else:
                    raise ConfigurationError(
                        f"namespace {namespace!r} should be a module or a map of functions, not {content!r}"
                    )
        else:
            raise ConfigurationError(
                f"a server exposes modules and maps {{namespace: functions}}, not {exposed!r}"
            )

    def not_found_handler(self, full_name: str) -> Function | None:
        """The namespace's own ``-slacker-function-not-found``, if it has one."""
        namespace, slash, _ = full_name.partition("/")
        return self._by_name.get(f"{namespace}/{NOT_FOUND_HANDLER}") if slash else None

    @property
    def namespaces(self) -> Mapping[str, Mapping[str, Function]]:
        """Namespace → canonical name → function."""
        return self._namespaces

    def names(self, prefix: str = "") -> list[str]:
        """``namespace/function`` of all whose name begins so, in the order of exposure."""
        return [f.full_name for f in self if f.full_name.startswith(prefix)]

    def __iter__(self) -> Iterator[Function]:
        for functions in self._namespaces.values():
            yield from functions.values()

    def _add_module(self, namespace: str, module: ModuleType, on_reactor: bool) -> None:
        found = 0
        for python_name, function in _public_functions(module):
            explicit = getattr(function, _NAME_MARK, None)
            name = explicit or python_name.replace("_", "-")
            self._add(namespace, name, function, on_reactor, alias=None if explicit else python_name)
            found += 1
        if not found:
            raise ConfigurationError(
                f"module {module.__name__} has no function to expose: define public functions in it, "
                "or list them in __all__"
            )

    def _add_map(self, namespace: str, functions: Mapping[str, AnyFunction], on_reactor: bool) -> None:
        for name, function in functions.items():
            if not callable(function):
                raise ConfigurationError(f"{namespace}/{name} should be a function, not {function!r}")
            self._add(namespace, name, function, on_reactor, alias=None)
        self._namespaces.setdefault(_checked(namespace, "namespace"), {})

    def _add(
        self, namespace: str, name: str, function: AnyFunction, on_reactor: bool, alias: str | None
    ) -> None:
        _checked(namespace, "namespace")
        _checked(name, f"function name in {namespace}")
        entry = Function(
            namespace, name, function, on_reactor or _runs_on_reactor(function), _metadata(name, function)
        )
        for spelling in {name, alias or name}:
            full_name = f"{namespace}/{spelling}"
            if full_name in self._by_name:
                raise ConfigurationError(
                    f"two functions meet in the name {full_name}: rename one, hide it with @no_slacker, "
                    "or give it another name with @expose(name=…)"
                )
            self._by_name[full_name] = entry
        self._namespaces.setdefault(namespace, {})[name] = entry


def _checked(name: object, what: str) -> str:
    if not isinstance(name, str) or not name or "/" in name or not name.isprintable():
        raise ConfigurationError(f"{what} {name!r} should be printable text without a slash")
    return name


def _public_functions(module: ModuleType) -> Iterator[tuple[str, AnyFunction]]:
    """Python name and function of all that a module exposes: its ``__all__``, or what it defines itself."""
    listed = getattr(module, "__all__", None)
    for name, value in list(vars(module).items()):
        if not callable(value) or isinstance(value, type) or getattr(value, _HIDDEN_MARK, False):
            continue
        if listed is not None:
            public = name in listed
        else:
            public = not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
        # A mark in the module that defines the function speaks for itself; one that came by import does not.
        marked = hasattr(value, _NAME_MARK) and getattr(value, "__module__", None) == module.__name__
        if public or marked or name == _NOT_FOUND_HANDLER_IN_PYTHON:
            yield name, value


def _runs_on_reactor(function: AnyFunction) -> bool:
    return (
        getattr(function, _NONBLOCKING_MARK, False)
        or inspect.iscoroutinefunction(function)
        or inspect.iscoroutinefunction(type(function).__call__)
    )


def _metadata(name: str, function: AnyFunction) -> dict[Keyword, Any]:
    """``{:name sym :doc "…" :arglists ([x] [x y])}`` as Clojure has it; keys absent where unknown."""
    metadata: dict[Keyword, Any] = {Keyword("name"): Symbol(name)}
    doc = None if isinstance(function, partial) else inspect.getdoc(function)
    if doc:
        metadata[Keyword("doc")] = doc
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):  # some built-in functions have no signature
        return metadata
    metadata[Keyword("arglists")] = List(_arglists(parameters))
    return metadata


def _arglists(parameters: Iterable[inspect.Parameter]) -> Iterator[list[Symbol]]:
    """One argument list for each number of arguments; ``& rest`` where there may be any number."""
    arguments: list[Symbol] = []
    rest: inspect.Parameter | None = None
    arities: list[list[Symbol]] = []
    for parameter in parameters:
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            if parameter.default is not parameter.empty:
                arities.append(list(arguments))
            arguments.append(Symbol(parameter.name.replace("_", "-")))
        elif parameter.kind is parameter.VAR_POSITIONAL:
            rest = parameter
    yield from arities
    if rest is not None:
        arguments += [Symbol("&"), Symbol(rest.name.replace("_", "-"))]
    yield arguments
