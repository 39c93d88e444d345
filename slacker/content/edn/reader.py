"""The EDN reader.

One pass of a compiled pattern cuts the text into tokens, one loop without recursion makes values of them.
Neither keeps track of offsets, which only an error needs: the loop's iterator knows how many tokens are
left, and the place is found by cutting the text once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from operator import length_hint
from typing import Any
from uuid import UUID

from slacker.content.codec import MAX_DEPTH
from slacker.content.edn.literals import (
    CHARACTER,
    CONSTANTS,
    ENDS,
    KEYWORDS,
    SPACE,
    SYMBOLIC,
    SYMBOLS,
    character,
    instant,
    is_tag,
    keyword,
    looks_numeric,
    number,
    put_away,
    put_back,
    shown,
    string,
    symbol,
)
from slacker.content.values import Keyword, List, Symbol, Tagged, Unreadable, make_dict, make_set
from slacker.errors import ContentError

# Every character that is no space belongs to a token, and no token can be matched in two ways: it is linear.
_TOKEN = re.compile(
    rf"[{SPACE}]*("
    rf"[^{ENDS}#][^{ENDS}]*"  # a name or number
    r"|[\[\](){}^]"
    r'|"[^"]*"?'  # a string; without its end only as the last token
    rf"|#(?:[{{_^]|[^{ENDS}]*)"
    rf"|\\(?:[\s\S][^{ENDS}]*)?"
    rf"|[{CHARACTER}][^{ENDS}]*"
    r"|;[^\r\n]*"
    r")"
)
_tokens = _TOKEN.findall

_SPACES = "".join([chr(code) for code in range(0x3001) if re.match(f"[{SPACE}]", chr(code))])
_NONZERO = frozenset("123456789")
_CLOSING = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_CLOSERS = frozenset("])}")


class _Unexpected(ValueError):
    """What is wrong, and with which token; ``index`` None stands for the token just met."""

    def __init__(self, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


class _Prefixed:
    """Takes the values of a collection in which a prefix was met: ``#tag``, ``#_``, ``^``."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items
        #: (token, its index) of those that wait for their value, outermost first.
        self.prefixes: list[tuple[str, int]] = []

    def add(self, value: Any) -> None:
        while self.prefixes:
            prefix, index = self.prefixes.pop()
            if prefix in (
                "#_",
                "^",
                "#^",
            ):  # metadata is dropped, and the value it stands before is the next one
                return
            try:
                value = _tagged(prefix, value)
            except ValueError as error:
                raise _Unexpected(str(error), index) from None
        self.items.append(value)


def loads(data: bytes) -> Any:
    """The one value that ``data`` is.

    :raises ContentError: it is not one EDN value in UTF-8, or nested more than :data:`MAX_DEPTH` levels
        deep; the message says at which byte.
    """
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise ContentError(f"not an EDN payload: the byte at offset {error.start} is not UTF-8") from None
    escaped = "\\" in text
    if escaped:
        text = put_away(text)
    # Else the pattern would be tried at every one of the spaces at the end, for nothing.
    stripped = text.rstrip(_SPACES)
    if stripped.endswith("\\"):  # the space that it makes a character of
        stripped = text[: len(stripped) + 1]
    tokens = _tokens(stripped)
    remaining = iter(tokens)
    try:
        return _read(remaining, len(tokens), escaped)
    except ValueError as error:
        index = getattr(error, "index", None)
        if index is None:
            index = len(tokens) - length_hint(remaining) - 1
        offset = _offset(stripped, index)
        raise ContentError(f"not an EDN payload: at byte {offset}: {error}") from None


def _offset(text: str, index: int) -> int:
    """The offset in bytes of the token of that index; the length of all where there is no such token."""
    for match in islice(_TOKEN.finditer(text), index, None):
        text = text[: match.start(1)]
        break
    return len(put_back(text).encode())


def _read(tokens: Iterator[str], total: int, escaped: bool) -> Any:
    """The value of these ``total`` tokens; ``escaped`` if there may be escapes in strings."""
    items: list[Any] = []
    append: Callable[[Any], None] = items.append
    prefixed: _Prefixed | None = None
    opener = ""
    depth = 0
    # The collections around the current one, each as these five variables were when it was left.
    stack: list[tuple[list[Any], Callable[[Any], None], _Prefixed | None, str, int]] = []
    for token in tokens:
        first = token[0]
        if first in _NONZERO and len(token) < 20 and token.isdigit() and token.isascii():
            append(int(token))
        elif first == '"':
            if token[-1] != '"' or len(token) == 1:
                raise _Unexpected("a string is not closed")
            append(string(token[1:-1]) if escaped else token[1:-1])
        elif first == ":":
            value: Any = KEYWORDS.get(token)
            append(keyword(token) if value is None else value)
        elif token in _CLOSING:
            stack.append((items, append, prefixed, opener, depth))
            depth += 1
            if prefixed is not None:
                depth += len(prefixed.prefixes)
            if depth > MAX_DEPTH:
                raise _Unexpected(f"the value is nested more than {MAX_DEPTH} levels deep")
            opener = token
            prefixed = None
            items = []
            append = items.append
        elif token in _CLOSERS:
            if not stack or _CLOSING[opener] != token:
                expected = f"{_CLOSING[opener]!r} for {opener!r}" if stack else "nothing that it could close"
                raise _Unexpected(f"{token!r} where {expected} was expected")
            if prefixed is not None:
                _complete(prefixed)
            if token == "]":
                value = items
            elif token == ")":
                value = List(items)
            elif opener == "{":
                value = _map(items)
            else:
                value = make_set(items)
            items, append, prefixed, opener, depth = stack.pop()
            append(value)
        elif first in "#^":
            if token in SYMBOLIC:
                append(SYMBOLIC[token])
                continue
            if prefixed is None:
                prefixed = _Prefixed(items)
                append = prefixed.add
            _check_prefix(token)
            prefixed.prefixes.append((token, total - length_hint(tokens) - 1))
            if depth + len(prefixed.prefixes) > MAX_DEPTH:
                raise _Unexpected(f"the value is nested more than {MAX_DEPTH} levels deep")
        elif first == ";":
            continue
        elif first in CHARACTER:
            append(character(token))
        elif token in CONSTANTS:
            append(CONSTANTS[token])
        elif looks_numeric(token):
            append(number(token))
        else:
            value = SYMBOLS.get(token)
            append(symbol(token) if value is None else value)
    if stack:
        raise _Unexpected(f"{_CLOSING[opener]!r} for {opener!r} was expected, and the text ends", total)
    if prefixed is not None:
        _complete(prefixed)
    if len(items) != 1:
        if items:
            raise _Unexpected("one value was expected, and here are more")
        raise _Unexpected("a value was expected, and the text ends", total)
    return items[0]


def _map(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise _Unexpected("a map has a key without a value")
    return make_dict(list(zip(items[::2], items[1::2], strict=True)))


def _complete(prefixed: _Prefixed) -> None:
    """At the end of a collection: every prefix must have had its value."""
    if prefixed.prefixes:
        prefix, index = prefixed.prefixes[-1]
        raise _Unexpected(f"{shown(prefix)} stands before nothing", index)


def _check_prefix(token: str) -> None:
    if token in ("#_", "^", "#^"):
        return
    name = token[2:] if token.startswith("#:") else token[1:]
    if not is_tag(name):
        raise _Unexpected(
            f"{shown(token)} begins nothing in EDN; there are #tag #{{ #_ #:namespace ##Inf ##-Inf ##NaN"
        )


def _tagged(prefix: str, value: Any) -> Any:
    """What ``prefix`` (``#tag`` or ``#:namespace``) makes of ``value``."""
    if prefix.startswith("#:"):
        if type(value) is not dict:
            raise ValueError(f"{shown(prefix)} takes a map")
        namespace = prefix[2:]
        return make_dict([(_qualified(namespace, key), item) for key, item in value.items()])
    if prefix == "#inst":
        return instant(value)
    if prefix == "#uuid":
        try:
            return UUID(value)
        except (ValueError, TypeError, AttributeError):
            raise ValueError(
                f"#uuid takes a string of 32 hexadecimal digits, not {shown(str(value))}"
            ) from None
    if (
        prefix == "#object"
        and type(value) is list
        and len(value) >= 2
        and isinstance(value[0], (Symbol, str))
    ):
        # #object[class hash detail]: what pr prints of an object it has no notation for
        return Unreadable(str(value[0]), value[2] if len(value) > 2 else None)
    return Tagged(prefix[1:], value)


def _qualified(namespace: str, key: Any) -> Any:
    """A key of ``#:namespace{…}``: names without a namespace get it, and ``_`` stands for none."""
    if not isinstance(key, (Keyword, Symbol)):
        return key
    if key.namespace is None:
        return type(key)(f"{namespace}/{key.text}")
    return type(key)(key.name) if key.namespace == "_" else key
