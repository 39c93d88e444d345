"""How a writer says which element of a value it cannot write, and where that element stands.

A writer keeps no track of where it is: that would cost every value something. It raises :class:`Refusal`
with the element, and only then is the value walked again, in the order in which writers go through it, to
find the way there.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from json.encoder import encode_basestring
from typing import NoReturn

from slacker.content.codec import MAX_DEPTH
from slacker.content.values import Keyword, Symbol, Tagged
from slacker.errors import ContentError


class Refusal(Exception):
    """Inside a writer: ``element`` cannot be written; ``reason`` is a clause that begins with its verb."""

    def __init__(self, element: object, reason: str) -> None:
        super().__init__(element, reason)
        self.element = element
        self.reason = reason


class TooDeep(Refusal):
    """Inside a writer: the value is nested too deeply; where that is would be a long way to read."""

    def __init__(self) -> None:
        super().__init__(None, f"is nested more than {MAX_DEPTH} levels deep, or contains itself")


def refuse(content_type: str, value: object, error: Exception) -> NoReturn:
    """End ``dumps`` after a writer has raised this, its own or whatever an element has raised meanwhile.

    :raises ContentError: always, as in ``clj cannot carry this value: [0]["when"] is a …``.
    """
    if isinstance(error, RecursionError):
        error = TooDeep()
    if isinstance(error, TooDeep):
        raise _error(content_type, "", error.reason) from None
    if isinstance(error, Refusal):
        element = error.element
        path = _place(value, lambda candidate: candidate is element)
        raise _error(content_type, path, error.reason) from None
    if isinstance(error, UnicodeEncodeError):
        path = _place(value, _is_no_unicode)
        raise _error(content_type, path, "holds half a surrogate pair, which is no Unicode text") from None
    # A dict that another thread changes, say, or a list of a type whose __iter__ raises.
    raise _error(content_type, None, f"raised {told(error)} when it was written") from error


def told(error: Exception) -> str:
    """An exception as text, be it one whose own methods raise."""
    try:
        return repr(error)
    except Exception:
        return type(error).__name__


def refused_arguments(content_type: str, function: str, error: ContentError) -> ContentError:
    """The error for a caller: ``clj cannot carry the arguments of n/f: args[0]["when"] is a …``."""
    if not error.reason:
        return ContentError(f"arguments of {function}: {error}")
    where = "something deep inside args" if error.path is None else f"args{error.path}"
    return ContentError(f"{content_type} cannot carry the arguments of {function}: {where} {error.reason}")


def _error(content_type: str, path: str | None, reason: str) -> ContentError:
    where = "something deep inside it" if path is None else path or "it"
    error = ContentError(f"{content_type} cannot carry this value: {where} {reason}")
    error.path, error.reason = path, reason
    return error


def unknown_type(element: object) -> Refusal:
    """The refusal of an element whose type has no form in any content type, or not in the one at work."""
    kind = type(element)
    lacking, hint = "no content type has a", ""
    if isinstance(element, (Tagged, memoryview)):  # only JSON's writer has nothing to do with these
        lacking, hint = "JSON has no", "; use another content type"
    elif isinstance(element, (range, Iterator, KeysView, ValuesView, ItemsView)):
        hint = "; make a list of it"
    elif kind.__module__ == "datetime":
        hint = "; send a datetime with a time zone, or text"
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return Refusal(element, f"is of type {name}, which {lacking} form for{hint}")


def is_unicode(value: object) -> bool:
    """Whether all strings in ``value`` are Unicode text."""
    return _path_to(value, _is_no_unicode) is None


def _is_no_unicode(element: object) -> bool:
    if isinstance(element, (Keyword, Symbol)):
        element = element.text
    elif isinstance(element, Tagged):
        element = element.tag
    if not isinstance(element, str):
        return False
    try:
        element.encode()
    except UnicodeEncodeError:
        return True
    return False


def _place(value: object, wanted: Callable[[object], bool]) -> str | None:
    """Where the first wanted element stands; None if that cannot be found out."""
    try:
        return _path_to(value, wanted)
    except Exception:  # as a writer may meet one
        return None


def _path_to(value: object, wanted: Callable[[object], bool]) -> str | None:
    """The way to the first wanted element, as written in Python; empty for ``value`` itself."""
    if wanted(value):
        return ""
    path: list[str] = []
    walks = [_steps(value)]
    while walks:
        for step, child in walks[-1]:
            if wanted(child):
                return "".join([*path, step])
            if len(walks) <= MAX_DEPTH:  # deeper than any writer went
                path.append(step)
                walks.append(_steps(child))
                break
        else:
            walks.pop()
            if path:
                path.pop()
    return None


def _steps(container: object) -> Iterator[tuple[str, object]]:
    """The elements of ``container`` in writing order, each with the piece of path that leads to it."""
    if isinstance(container, Mapping):
        for key, value in container.items():
            shown = _shown(key)
            yield f".key({shown})", key
            yield f"[{shown}]", value
    elif isinstance(container, (list, tuple)):
        for index, item in enumerate(container):
            yield f"[{index}]", item
    elif isinstance(container, (set, frozenset)):
        for member in container:
            yield ".member", member
    elif isinstance(container, Tagged):
        yield ".value", container.value


def _shown(key: object) -> str:
    """A key as one would write it, short."""
    if isinstance(key, str) and len(key) <= 40 and key.isprintable():
        return encode_basestring(key)
    try:
        return reprlib.repr(key)
    except ValueError:  # an int with more digits than Python writes
        return f"<{type(key).__name__}>"
