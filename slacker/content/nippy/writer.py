"""The Nippy writer: what Nippy 3.1.3 writes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from struct import Struct
from typing import Any
from uuid import UUID

from slacker.content.codec import MAX_DEPTH, MAX_PART
from slacker.content.edn import writer as edn
from slacker.content.refusal import Refusal, TooDeep, refuse
from slacker.content.times import since_epoch
from slacker.content.types import write_twin
from slacker.content.values import Char, Keyword, List, Map, Symbol, Tagged

#: The ids of one type: without payload for an empty one (None: there is no such id), then with a count of
#: one, two and four bytes.
Ids = tuple[bytes | None, int, int, int]

_STRING: Ids = (b"\x22", 105, 16, 13)
_KEYWORD: Ids = (None, 106, 85, 14)
_SYMBOL: Ids = (None, 56, 86, 57)
_BYTES: Ids = (b"\x35", 7, 15, 2)
_EDN: Ids = (None, 47, 51, 52)
_VECTOR: Ids = (b"\x11", 110, 69, 21)
_LIST: Ids = (b"\x23", 36, 54, 20)
_SET: Ids = (b"\x12", 111, 32, 23)
_MAP: Ids = (b"\x13", 112, 33, 30)

#: Vectors of so many elements have ids of their own.
_SHORT_VECTORS = {2: b"\x71", 3: b"\x72"}

_BYTE_SIZE, _SHORT_SIZE, _INT_SIZE = Struct(">Bb"), Struct(">Bh"), Struct(">Bi")
_LONG = Struct(">Bq")
_DOUBLE = Struct(">Bd")
_INSTANT = Struct(">Bqi")
_CHARACTER = Struct(">BH")
_INT = Struct(">i")


def header(ids: Ids, count: int, value: object) -> bytes:
    """The id and count of ``value``.

    :raises Refusal: the count is 2 to the 31 or more.
    """
    empty, small, medium, large = ids
    if not count and empty is not None:
        return empty
    if count < 2**7:
        return _BYTE_SIZE.pack(small, count)
    if count < 2**15:
        return _SHORT_SIZE.pack(medium, count)
    return _large(large, count, value)


def _large(kind: int, count: int, value: object) -> bytes:
    if count >= 2**31:
        raise Refusal(value, f"has a size of {count}, and nippy's sizes are below 2 to the 31")
    return _INT_SIZE.pack(kind, count)


# By the integer itself: negative ones count from the end.
_SMALL = (b"\x00", *[_BYTE_SIZE.pack(100, value) for value in (*range(1, 128), *range(-128, 0))])


def _integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        if -(2**7) <= value < 2**7:
            return _SMALL[value]
        return _SHORT_SIZE.pack(101, value) if -(2**15) <= value < 2**15 else _INT_SIZE.pack(102, value)
    if -(2**63) <= value < 2**63:
        return _LONG.pack(43, value)
    content = _two_complement(value)
    return _large(44, len(content), value) + content


def _two_complement(value: int) -> bytes:
    """As few bytes as hold ``value`` and its sign."""
    bits = value.bit_length() if value >= 0 else (~value).bit_length()
    return value.to_bytes(bits // 8 + 1, "big", signed=True)


def _part(number: int, value: object) -> bytes:
    """The integer ``number``, which is a part of ``value``."""
    content = _two_complement(number)
    if len(content) > MAX_PART:
        raise Refusal(value, f"consists of an integer of more than {MAX_PART} bytes")
    return _INT.pack(len(content)) + content


def _ratio(value: Fraction) -> bytes:
    if value.denominator == 1:
        return _integer(value.numerator)
    return b"\x46" + _part(value.numerator, value) + _part(value.denominator, value)


def _decimal(value: Decimal) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise Refusal(value, f"is {value!r}, and nippy's decimals are finite")
    if not -(2**31) <= -exponent < 2**31:
        raise Refusal(value, "has an exponent that does not fit 32 bits")
    try:
        unscaled = int("".join(map(str, digits)))
    except ValueError:
        raise Refusal(value, "has more digits than Python reads (4,300)") from None
    return b"\x3e" + _part(-unscaled if sign else unscaled, value) + _INT.pack(-exponent)


def _float(value: float) -> bytes:
    return _DOUBLE.pack(61, value) if value else b"\x37"  # Nippy has one zero


def _text(ids: Ids) -> Callable[[Any], bytes]:
    def write(value: Any) -> bytes:
        content: bytes = value.text.encode()
        return header(ids, len(content), value) + content

    return write


def _string(value: str) -> bytes:
    content = value.encode()
    return header(_STRING, len(content), value) + content


def _bytes(value: bytes | bytearray | memoryview) -> bytes:
    content = bytes(value)
    return header(_BYTES, len(content), value) + content


def _character(value: Char) -> bytes:
    if value.text > "\uffff":
        raise Refusal(value, f"is {value!r}, which does not fit a character of nippy (16 bits)")
    return _CHARACTER.pack(10, ord(value.text))


def _time(value: datetime) -> bytes:
    """A Date, which has milliseconds; or an Instant where they are not enough."""
    milliseconds, microseconds = divmod(since_epoch(value), 1000)
    if not microseconds:
        return _LONG.pack(90, milliseconds)
    seconds, milliseconds = divmod(milliseconds, 1000)
    return _INSTANT.pack(79, seconds, (milliseconds * 1000 + microseconds) * 1000)


_SCALARS: dict[type, Callable[[Any], bytes]] = {
    int: _integer,
    str: _string,
    Keyword: _text(_KEYWORD),
    float: _float,
    bool: lambda value: b"\x08" if value else b"\x09",
    type(None): lambda _value: b"\x03",
    Symbol: _text(_SYMBOL),
    Char: _character,
    Decimal: _decimal,
    Fraction: _ratio,
    UUID: lambda value: b"\x5b" + value.bytes,
    datetime: _time,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
}

_SEQUENCES: dict[type, Ids] = {list: _VECTOR, tuple: _VECTOR, List: _LIST, frozenset: _SET, set: _SET}


def _write(value: Any, append: Callable[[bytes], None], depth: int) -> None:
    """Appends the pieces of ``value``; one stack frame a level, so that MAX_DEPTH fit in Python's limit."""
    kind = type(value)
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        append(scalar(value))
        return
    if depth == MAX_DEPTH:
        raise TooDeep
    ids = _SEQUENCES.get(kind)
    if ids is not None:
        count = len(value)
        append(_SHORT_VECTORS[count] if ids is _VECTOR and 2 <= count <= 3 else header(ids, count, value))
        for item in value:
            scalar = _SCALARS.get(type(item))
            if scalar is not None:
                append(scalar(item))
            else:
                _write(item, append, depth + 1)
    elif kind is dict or kind is Map:
        append(header(_MAP, len(value), value))
        for key, item in value.items():
            _write(key, append, depth + 1)
            _write(item, append, depth + 1)
    elif kind is Tagged:
        if value.tag == "uri" and type(value.value) is str:
            append(b"\x47" + _string(value.value))
        else:  # Nippy writes what it has no type for, but EDN has, as EDN
            content = edn.write(value, depth).encode()
            append(header(_EDN, len(content), value) + content)
    else:
        write_twin(value, lambda twin: _write(twin, append, depth))


def dumps(value: object) -> bytes:
    """``value`` as Nippy.

    :raises ContentError: it holds something that Nippy cannot carry; the message says what and where.
    """
    out: list[bytes] = []
    try:
        _write(value, out.append, 0)
    except Exception as error:
        refuse("nippy", value, error)
    return b"".join(out)
