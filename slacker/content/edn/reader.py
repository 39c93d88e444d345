"""The EDN reader.

A text is cut into tokens; all atoms among them that were met before become values at once, by look-up; then
one loop goes through what is left: brackets, strings, prefixes and new atoms. There is no recursion, and an
atom that is known costs no more than its look-up and its place in a slice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from slacker.content.codec import MAX_DEPTH
from slacker.content.edn.literals import (
    CHARACTER,
    CONSTANTS,
    ENDS,
    SET,
    SPACE,
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
from slacker.content.refusal import told
from slacker.content.types import tagged
from slacker.content.values import MAX_SAME_HASH, Keyword, List, Symbol, Unreadable, make_dict, make_set
from slacker.errors import ContentError

if TYPE_CHECKING:
    from typing_extensions import Self

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
_SPACES = "".join([chr(code) for code in range(0x3001) if re.match(f"[{SPACE}]", chr(code))])

#: Where ``#{`` is no token, or ``#`` begins one that spaces do not end.
_GLUED = re.compile(rf"#(?:_|(?<=[^{ENDS}]#)\{{)")

#: Prefixes that make a scalar of what is behind them, and so are no level of nesting.
_SCALARS = frozenset(["#inst", "#uuid"])

_CLOSING = {"[": "]", "(": ")", "{": "}", "#{": "}", SET: "}"}
_CLOSERS = frozenset(_CLOSING.values())

#: Prefixes that drop the value behind them: ``#_``, and the two that make it metadata, which is not kept.
_METADATA = frozenset(["^", "#^"])
_DROPPING = _METADATA | {"#_"}

#: Waits for the value that has the metadata.
_WITH_METADATA = "^ with its metadata"

_TOO_DEEP = f"the value is nested more than {MAX_DEPTH} levels deep"

#: Characters of the namespace in ``#:namespace{…}``. Each key of the map gets it: without a bound a megabyte
#: of text could be a terabyte of names.
MAX_NAMESPACE = 255

_NONZERO = frozenset("123456789")

#: Atoms that were met before, by their token. Peers choose the tokens, hence the bounds; when full it starts
#: anew: names soon come back, and the numbers that never do are gone.
_ATOMS: dict[str, Any] = {}
_MAX_ATOMS = 4096
_MAX_ATOM_LENGTH = 64


class _Unexpected(Exception):
    """What is wrong, and with which token."""

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.index = index


class _Prefixed(list[Any]):
    """The values of a collection in which a prefix was met: ``#tag``, ``#_`` or ``^``."""

    def __init__(self, items: list[Any], stack: list[tuple[Any, Any]]) -> None:
        super().__init__(items)
        #: What is open: above ``level``, the prefixes that wait for their value here, as (token, its index).
        self.stack = stack
        self.level = len(stack)

    def __bool__(self) -> bool:
        return True  # even without values it is more than an empty list

    def __iadd__(self, values: Iterable[Any]) -> Self:  # type: ignore[misc]  # list's + is not for these
        for value in values:
            self.append(value)
        return self

    def append(self, value: Any) -> None:
        while len(self.stack) > self.level:
            prefix, index = self.stack.pop()
            if prefix in _DROPPING:
                return
            if prefix is _WITH_METADATA:
                continue
            try:
                value = _tagged(prefix, value)
            except ValueError as error:
                raise _Unexpected(str(error), index) from None
        super().append(value)

    def end(self) -> list[Any]:
        """Nothing more comes: every prefix must have had its value."""
        if len(self.stack) > self.level:
            prefix, index = self.stack[-1]
            raise _Unexpected(f"{shown(prefix)} stands before nothing", index)
        return list(self)


def loads(data: bytes) -> Any:
    """The one value that ``data`` is.

    :raises ContentError: it is not one EDN value in UTF-8, or nested more than :data:`MAX_DEPTH` levels
        deep; the message says at which byte.
    """
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise ContentError(f"not an EDN payload: the byte at offset {error.start} is not UTF-8") from None
    escapes = "\\" in text
    if escapes:
        text = put_away(text)
    parts = text.split('"')
    try:
        tokens = _split(parts)
        if tokens is None:
            tokens = _cut(text)
        strings = map(string, parts[1::2]) if escapes else iter(parts[1::2])
        return _read(tokens, strings.__next__)
    except _Unexpected as error:
        offset = _offset(text, error.index)
        raise ContentError(f"not an EDN payload: at byte {offset}: {error}") from None
    except RecursionError:
        raise ContentError("not an EDN payload: a map key or set member is nested too deeply") from None
    except Exception as error:  # a registered type's own, when its instances become keys
        raise ContentError(f"not an EDN payload: {told(error)}") from error


def _split(parts: list[str]) -> list[str] | None:
    """The tokens of a text that was split at its quotes into ``parts``, each string as a quote alone.

    None if plain string methods cannot do that; where they can, which is in most texts, they take a third
    of the time of :func:`_cut`.
    """
    code = ' " '.join(parts[::2])
    if not len(parts) % 2 or not code.isascii() or ";" in code or "^" in code or "\\" in code:
        return None
    if "#" in code:
        if _GLUED.search(code) is not None:
            return None
        code = code.replace("#{", f" {SET} ")
    return (
        code.replace("{", " { ")
        .replace("}", " } ")
        .replace("[", " [ ")
        .replace("]", " ] ")
        .replace("(", " ( ")
        .replace(")", " ) ")
        .replace(",", " ")
        .split()
    )


def _cut(text: str) -> list[str]:
    """The tokens of any text."""
    tokens = _TOKEN.findall(_strip(text))
    if tokens and tokens[-1][0] == '"' and (len(tokens[-1]) == 1 or tokens[-1][-1] != '"'):
        raise _Unexpected("a string is not closed", len(tokens) - 1)
    return tokens


def _strip(text: str) -> str:
    """``text`` without the spaces at its end, at each of which the pattern would be tried for nothing."""
    stripped = text.rstrip(_SPACES)
    # A backslash makes a character of the space behind it.
    return text[: len(stripped) + 1] if stripped.endswith("\\") else stripped


def _offset(text: str, index: int) -> int:
    """The offset in bytes of the token of that index; the length of all where there is no such token."""
    text = _strip(text)
    for match in islice(_TOKEN.finditer(text), index, None):
        text = text[: match.start(1)]
        break
    return len(put_back(text).encode())


def _read(tokens: list[str], next_string: Callable[[], str]) -> Any:
    """The value of these tokens; each that is a quote alone stands for the next string."""
    values: list[Any] = list(map(_ATOMS.get, tokens))
    items: list[Any] = []  # of the collection around the current token, as far as they are taken from values
    start = 0  # where in values those begin that are not
    opener = closer = ""
    stack: list[tuple[Any, ...]] = []  # items, opener and closer of the collections around that one
    index = 0
    closing = _CLOSING.get
    try:
        for index in [index for index, value in enumerate(values) if value is None]:
            token = tokens[index]
            if token == '"':
                values[index] = next_string()
            elif token == closer:
                if items:
                    items += values[start:index]
                    if type(items) is _Prefixed:
                        items = items.end()
                else:
                    items = values[start:index]
                start = index + 1
                value: Any = items
                if opener == "{":
                    value = {}
                    # Most maps are small, and dict(zip(…)) takes twice as long for them.
                    pairs = iter(items if len(items) <= 2 * MAX_SAME_HASH else ())
                    try:
                        for key in pairs:
                            value[key] = next(pairs)
                    except (StopIteration, TypeError):  # no value, or an unhashable key
                        value = _map(items)
                    if len(value) * 2 != len(items):
                        value = _map(items)
                elif token == "}":
                    value = make_set(items)
                elif token == ")":
                    value = List(items)
                items, opener, closer = stack.pop()
                items.append(value)
            elif (opens := closing(token)) is not None:
                if start != index:
                    items += values[start:index]
                start = index + 1
                stack.append((items, opener, closer))
                if len(stack) > MAX_DEPTH:
                    raise ValueError(_TOO_DEEP)
                opener = token
                closer = opens
                items = []
            elif token == "nil":
                pass
            elif token[0] == '"':
                values[index] = string(token[1:-1])
            elif token[0] in "#^;" and token not in CONSTANTS:
                items += values[start:index]
                start = index + 1
                if token[0] != ";":
                    if type(items) is not _Prefixed:
                        items = _Prefixed(items, stack)
                    _check_prefix(token)
                    if token in _METADATA:
                        stack.append((_WITH_METADATA, index))
                    stack.append((token, index))
                    if len(stack) > MAX_DEPTH + (token in _SCALARS):
                        raise ValueError(_TOO_DEEP)
            elif token in _CLOSERS:
                expected = f"{closer!r} for {put_back(opener)!r}" if closer else "a value"
                raise ValueError(f"{expected} was expected, not {token!r}")
            else:
                values[index] = _atom(token)
    except ValueError as error:
        raise _Unexpected(str(error), index) from None
    if closer:
        raise _Unexpected(f"{closer!r} for {put_back(opener)!r} was expected, and the text ends", len(tokens))
    items += values[start:]
    if type(items) is _Prefixed:
        items = items.end()
    if len(items) != 1:
        if items:
            raise _Unexpected("one value was expected, and here are more", len(tokens) - 1)
        raise _Unexpected("a value was expected, and the text ends", len(tokens))
    return items[0]


def _check_prefix(token: str) -> None:
    if token in _DROPPING:
        return
    if token.startswith("#:") and len(token) > MAX_NAMESPACE + 2:
        raise ValueError(f"{shown(token)} is a namespace of more than {MAX_NAMESPACE} characters")
    if not is_tag(token[2:] if token.startswith("#:") else token[1:]):
        raise ValueError(
            f"{shown(token)} begins nothing in EDN; there are #tag #{{ #_ #:ns ##Inf ##-Inf ##NaN"
        )


def _atom(token: str) -> Any:
    """The value of a token that is all of it, and is not in :data:`_ATOMS`."""
    value: Any
    if token[0] in _NONZERO and len(token) < 20 and token.isdigit() and token.isascii():
        value = int(token)
    elif token[0] == ":":
        value = keyword(token)
    elif token[0] in CHARACTER:
        value = character(token)
    elif token in CONSTANTS:
        value = CONSTANTS[token]
    elif looks_numeric(token):
        value = number(token)
    else:
        value = symbol(token)
    if len(token) <= _MAX_ATOM_LENGTH:
        if len(_ATOMS) >= _MAX_ATOMS:
            _ATOMS.clear()
        _ATOMS[token] = value
    return value


def _map(items: list[Any]) -> dict[Any, Any]:
    """The map of these keys and values, of which not every key has a value, is hashable and is there once."""
    if len(items) % 2:
        raise ValueError("a map has a key without a value")
    return make_dict(list(zip(items[::2], items[1::2], strict=True)))


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
    return tagged(prefix[1:], value)


def _qualified(namespace: str, key: Any) -> Any:
    """A key of ``#:namespace{…}``: names without a namespace get it, and ``_`` stands for none."""
    if not isinstance(key, (Keyword, Symbol)):
        return key
    if key.namespace is None:
        return type(key)(f"{namespace}/{key.text}")
    return type(key)(key.name) if key.namespace == "_" else key
