"""Transit's trees to values.

A tree consists of text, numbers, booleans, None and bytes, lists, and tuples of pairs: the maps of JSON and
MessagePack, of which the second kind are transit's own, and the first appear in its verbose form.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any
from uuid import UUID

import attrs

from slacker.content.codec import MAX_DEPTH
from slacker.content.edn import literals
from slacker.content.times import from_epoch
from slacker.content.transit.cache import (
    CHARACTERS_PER_BYTE,
    CODES,
    FREE_CHARACTERS,
    INDEXES,
    is_cacheable,
)
from slacker.content.types import tagged
from slacker.content.values import Char, Keyword, List, Symbol, Tagged, make_dict, make_set
from slacker.errors import ContentError


@attrs.frozen(slots=True)
class _Tag:
    """The text ``~#name``, which begins a tagged value."""

    name: str


#: What the text ``^ `` is, which begins an array that is a map.
_MAP = _Tag("map")

_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SPECIAL = {"NaN": float("nan"), "INF": float("inf"), "-INF": float("-inf")}


def _shown(value: object) -> str:
    """``value`` for a message: never long."""
    text = repr(value) if isinstance(value, (str, int, float)) else type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."


def _text(what: str, convert: Callable[[str], Any]) -> Callable[[Any], Any]:
    """The reader of a tag whose value is text; ``convert`` raises ValueError, or KeyError."""

    def read(value: Any) -> Any:
        if type(value) is str:
            try:
                return convert(value)
            except (ValueError, KeyError, InvalidOperation):
                pass
        raise ContentError(f"{_shown(value)} is no {what}")

    return read


def _integer(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise ValueError
    return int(text)


def _decimal(text: str) -> Decimal:
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError
    return Decimal(text)


def _float(text: str) -> float:
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError
    return float(text)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError from None


_milliseconds = _text("time in milliseconds", _integer)
_uuid_text = _text("UUID", UUID)


def _instant(value: Any) -> Any:
    return from_epoch(milliseconds=value if type(value) is int else _milliseconds(value))


def _uuid(value: Any) -> UUID:
    """Of its text, or of its two halves as signed integers."""
    if type(value) is not list:
        return _uuid_text(value)  # type: ignore[no-any-return]  # it makes UUIDs
    if len(value) != 2 or not all(type(half) is int and -(2**63) <= half < 2**63 for half in value):
        raise ContentError("a UUID consists of two integers of 64 bits")
    high, low = value
    return UUID(int=(high % 2**64) << 64 | low % 2**64)


def _boolean(value: Any) -> bool:
    if value in ("t", "f"):
        return bool(value == "t")
    raise ContentError(f"{_shown(value)} is no boolean, which is t or f")


def _array(value: Any, what: str) -> list[Any]:
    if type(value) is not list:
        raise ContentError(f"a {what} consists of an array, not of {_shown(value)}")
    return value


def _ratio(value: Any) -> Fraction | int:
    parts = _array(value, "ratio")
    if len(parts) != 2 or not all(type(part) is int for part in parts) or not parts[1]:
        raise ContentError("a ratio consists of two integers, of which the second is not 0")
    ratio = Fraction(*parts)
    return ratio.numerator if ratio.denominator == 1 else ratio


def _entries(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ContentError("a map has a key without a value")
    return make_dict(list(zip(items[::2], items[1::2], strict=True)))


#: By tag, what makes the value of the one behind it. Those of one letter are prefixes of text, too.
TAGS: dict[str, Callable[[Any], Any]] = {
    "_": lambda _value: None,
    "?": _boolean,
    "i": _text("integer", _integer),
    "n": _text("integer", _integer),
    "d": _text("float", _float),
    "z": _text("special number, which is NaN, INF or -INF", _SPECIAL.__getitem__),
    "f": _text("decimal", _decimal),
    "b": _text("base64", _bytes),
    ":": _text("keyword", Keyword),
    "$": _text("symbol", Symbol),
    "c": _text("character", Char),
    "m": _instant,
    "t": _text("time", literals.instant),
    "u": _uuid,
    "r": _text("URI", lambda text: Tagged("uri", text)),
    "'": lambda value: value,
    "set": lambda value: make_set(_array(value, "set")),
    "list": lambda value: List(_array(value, "list")),
    "cmap": lambda value: _entries(_array(value, "cmap")),
    "ratio": _ratio,
}


#: Those whose value is as deep as what it makes; the others make scalars.
_AS_DEEP = frozenset(["'", "set", "list", "cmap"])

_TOO_DEEP = f"the value is nested more than {MAX_DEPTH} levels deep"


class Reader:
    """One payload of so many bytes, with its cache.

    :ivar entries: of the cache: each value, and the characters of its text.
    """

    def __init__(self, payload: int) -> None:
        self.entries: list[tuple[Any, int]] = []
        self._most = self._left = max(FREE_CHARACTERS, CHARACTERS_PER_BYTE * payload)

    def read(self, node: Any, as_key: bool = False, depth: int = 0) -> Any:
        """The value of a tree.

        :raises ContentError: it is no transit, or too deep.
        """
        kind = type(node)
        if kind is str:
            value = self.text(node, as_key)
            if type(value) is _Tag:
                raise ContentError(f"{_shown(node)} stands where no array or map begins")
            return value
        if kind is not list and kind is not tuple:
            return node
        keyed = kind is tuple
        head: Any = (node[0][0] if keyed else node[0]) if node else None
        named = type(head) is str
        first = self.text(head, keyed) if named else None
        if type(first) is _Tag and (first is not _MAP or keyed):
            if keyed and (first is _MAP or len(node) != 1):
                raise ContentError(f"{_shown(head)} is the key of a map")
            if not keyed and len(node) != 2:
                raise ContentError(f"{_shown(head)} tags {len(node) - 1} values")
            tag, inner = first.name, node[0][1] if keyed else node[1]
            convert = TAGS.get(tag)
            if convert is not None:
                # The array of a set is the set's level, and that of a ratio's two parts is none.
                return convert(self.read(inner, False, depth if tag in _AS_DEEP else depth - 1))
            if depth >= MAX_DEPTH:
                raise ContentError(_TOO_DEEP)
            return tagged(tag, self.read(inner, False, depth + 1))
        if depth >= MAX_DEPTH:
            raise ContentError(_TOO_DEEP)
        values: list[Any] = []
        append = values.append
        depth += 1
        rest = node[1:] if named else node
        if keyed:
            if named:
                append((first, self.read(node[0][1], False, depth)))
            for key, item in rest:
                name = self.text(key, True) if type(key) is str else self.read(key, True, depth)
                if type(name) is _Tag:
                    raise ContentError(f"{_shown(key)} is the key of a map")
                append((name, self.read(item, False, depth)))
            return make_dict(values)
        if first is _MAP:
            as_key = True
            for item in rest:
                append(self.read(item, as_key, depth))
                as_key = not as_key
            return _entries(values)
        if named:
            append(first)
        for item in rest:
            append(self.read(item, False, depth))
        return values

    def text(self, text: str, as_key: bool) -> Any:
        """The value of a text; a :class:`_Tag` if it is one, or begins a map."""
        if text and text[0] == "^" and text != "^ ":
            index = INDEXES.get(text, len(CODES))
            if index >= len(self.entries):
                raise ContentError(f"{_shown(text)} is the code of nothing that was there before")
            value, size = self.entries[index]
            self._left -= size
            if self._left < 0:
                raise ContentError(f"codes of the cache stand for more than {self._most} characters")
            return value
        value = _parse(text)
        if is_cacheable(text, as_key):
            if len(self.entries) == len(CODES):
                self.entries.clear()
            self.entries.append((value, len(text)))
        return value


def _parse(text: str) -> Any:
    if text[:1] != "~" or len(text) == 1:
        return _MAP if text == "^ " else text
    prefix, rest = text[1], text[2:]
    if prefix in "~^`":
        return text[1:]
    return _Tag(rest) if prefix == "#" else _tagged(prefix, rest)


def _tagged(tag: str, value: Any) -> Any:
    read = TAGS.get(tag)
    return tagged(tag, value) if read is None else read(value)
