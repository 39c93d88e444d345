"""The EDN writer: what ``pr-str`` prints, as far as a reader can read it back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from fractions import Fraction
from json.encoder import encode_basestring
from math import isfinite, isnan
from typing import Any
from uuid import UUID

from slacker.content.codec import MAX_DEPTH
from slacker.content.edn.literals import (
    CHARACTER_NAMES,
    is_keyword,
    is_symbol,
    is_tag,
    shown,
)
from slacker.content.refusal import Refusal, TooDeep, refuse
from slacker.content.types import write_twin
from slacker.content.values import Char, Keyword, List, Map, Symbol, Tagged


def _integer(value: int) -> str:
    # Clojure's integers have 64 bits; larger ones are another type there, written with an N.
    if -(2**63) <= value < 2**63:
        return repr(value)
    try:
        return f"{value}N"
    except ValueError:
        raise Refusal(value, "is an integer with more digits than Python writes (4,300)") from None


def _float(value: float) -> str:
    if isfinite(value):
        return repr(value)
    return "##NaN" if isnan(value) else "##Inf" if value > 0 else "##-Inf"


# Names that were written before, and so are known to be readable. Bounded: names come from peers, too.
_NAMES: dict[Keyword | Symbol, str] = {}
_MAX_NAMES = 4096
_MAX_NAME_LENGTH = 100


def _name(value: Keyword | Symbol) -> str:
    token = _NAMES.get(value)
    if token is None:
        token = str(value)
        token.encode()  # what is no Unicode text is refused as that
        if not (is_keyword if isinstance(value, Keyword) else is_symbol)(value.text):
            kind = type(value).__name__.lower()
            raise Refusal(value, f"is {shown(token)}, which EDN would not read back as a {kind} of that name")
        if len(token) <= _MAX_NAME_LENGTH:
            if len(_NAMES) >= _MAX_NAMES:
                _NAMES.clear()
            _NAMES[value] = token
    return token


def _character(value: Char) -> str:
    if value.text > "\uffff":
        raise Refusal(value, f"is {value!r}, which does not fit a character of EDN (16 bits)")
    return "\\" + CHARACTER_NAMES.get(value.text, value.text)


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise Refusal(value, f"is {value!r}, and EDN's decimals are finite")
    return f"{value}M"


def _ratio(value: Fraction) -> str:
    try:
        return str(value) if value.denominator != 1 else _integer(value.numerator)
    except ValueError:
        raise Refusal(value, "is a ratio with more digits than Python writes (4,300)") from None


def _instant(value: datetime) -> str:
    if value.utcoffset() is None:
        raise Refusal(value, "is a datetime without a time zone; give it one, as tzinfo=timezone.utc")
    try:
        in_utc = value.astimezone(timezone.utc).replace(tzinfo=None)
    except OverflowError:
        raise Refusal(value, "is a datetime outside the years 1 to 9999 of UTC") from None
    precision = "microseconds" if in_utc.microsecond % 1000 else "milliseconds"
    return f'#inst "{in_utc.isoformat(timespec=precision)}-00:00"'


def _bytes(value: object) -> str:
    raise Refusal(
        value, "is binary data, for which EDN has no form; send base64 text, or use another content type"
    )


_SCALARS: dict[type, Callable[[Any], str]] = {
    int: _integer,
    str: encode_basestring,  # JSON's escapes are all EDN's too; in C where the interpreter has it
    Keyword: _name,
    float: _float,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _value: "nil",
    Symbol: _name,
    Char: _character,
    Decimal: _decimal,
    Fraction: _ratio,
    UUID: lambda value: f'#uuid "{value}"',
    datetime: _instant,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
}

#: What the reader makes of a tag that means something to it.
_MEANINGS = {"inst": "a datetime", "uuid": "a UUID", "object": "an Unreadable"}

_SEQUENCES: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("[", "]"),
    List: ("(", ")"),
    frozenset: ("#{", "}"),
    set: ("#{", "}"),
}


def _write(value: Any, append: Callable[[str], None], out: list[str], depth: int) -> None:
    """Appends the pieces of ``value``; one stack frame a level, so that MAX_DEPTH fit in Python's limit."""
    kind = type(value)
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        append(scalar(value))
        return
    if depth == MAX_DEPTH:
        raise TooDeep
    brackets = _SEQUENCES.get(kind)
    if brackets is not None:
        append(brackets[0])
        for item in value:
            scalar = _SCALARS.get(type(item))
            if scalar is not None:
                append(scalar(item))
            else:
                _write(item, append, out, depth + 1)
            append(" ")
        if value:
            out[-1] = brackets[1]
        else:
            append(brackets[1])
    elif kind is dict or kind is Map:
        append("{")
        for key, item in value.items():
            _write(key, append, out, depth + 1)
            append(" ")
            _write(item, append, out, depth + 1)
            append(", ")
        if value:
            out[-1] = "}"
        else:
            append("}")
    elif kind is Tagged:
        if not is_tag(value.tag):
            value.tag.encode()  # what is no Unicode text is refused as that
            raise Refusal(value, f"has the tag {shown(value.tag)}, which EDN would not read back as a tag")
        if value.tag in _MEANINGS:
            raise Refusal(value, f"has the tag {value.tag!r}, which EDN reads back as {_MEANINGS[value.tag]}")
        append(f"#{value.tag} ")
        _write(value.value, append, out, depth + 1)
    else:
        write_twin(value, lambda twin: _write(twin, append, out, depth))


def write(value: object, depth: int = 0) -> str:
    """``value`` as EDN, so many levels deep in a value of whatever content type.

    :raises Refusal: it holds something that EDN cannot carry.
    """
    out: list[str] = []
    _write(value, out.append, out, depth)
    return "".join(out)


def dumps(value: object) -> bytes:
    """``value`` as EDN, in UTF-8.

    :raises ContentError: it holds something that EDN cannot carry; the message says what and where.
    """
    try:
        return write(value).encode()
    except Exception as error:
        refuse("clj", value, error)
