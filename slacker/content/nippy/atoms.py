"""Nippy's values that hold no others: by type id, how each is read.

An id is one byte; behind it comes the payload, all of it big-endian and signed. Names of sizes follow Nippy:
``sm`` is a byte, ``md`` two, ``lg`` four, ``xl`` eight. A starred size was added with Nippy 3.3: it is
unsigned, stored with an offset of half its range.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from struct import Struct
from typing import Any
from uuid import UUID

from slacker.content import edn
from slacker.content.codec import MAX_PART
from slacker.content.times import from_epoch
from slacker.content.values import Char, Keyword, Symbol, Unreadable
from slacker.errors import ContentError

#: Reads the payload at a position: the value, and the position behind it.
Read = Callable[[bytes, int], tuple[Any, int]]

SM, MD, LG, XL = Struct(">b"), Struct(">h"), Struct(">i"), Struct(">q")
_UNSIGNED_MD = Struct(">H")

ENDS_EARLY = "the payload ends in the middle of a value"


def text(data: bytes) -> str:
    """The string that is ``data`` in UTF-8."""
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise ContentError("a text is not UTF-8") from None


def _modified_text(data: bytes) -> str:
    """The string that is ``data`` in Java's modified UTF-8: NUL as two bytes, surrogates one by one."""
    try:
        units = str(data.replace(b"\xc0\x80", b"\x00"), "utf-8", "surrogatepass")
        return str(units.encode("utf-16-be", "surrogatepass"), "utf-16-be")
    except UnicodeDecodeError:
        raise ContentError("a text is not modified UTF-8") from None


def sized(data: bytes, position: int, size: Struct) -> tuple[bytes, int]:
    """The bytes whose number stands at ``position``, and the position behind them."""
    (count,) = size.unpack_from(data, position)
    start = position + size.size
    end = start + count
    if not start <= end <= len(data):
        raise ContentError(ENDS_EARLY if count > 0 else f"a size is negative: {count}")
    return data[start:end], end


def _constant(value: object) -> Read:
    return lambda _data, position: (value, position)


def _number(form: Struct) -> Read:
    def read(data: bytes, position: int) -> tuple[Any, int]:
        return form.unpack_from(data, position)[0], position + form.size

    return read


def _offset_integer(form: Struct, sign: int) -> Read:
    half = 1 << 8 * form.size - 1

    def read(data: bytes, position: int) -> tuple[int, int]:
        return sign * (form.unpack_from(data, position)[0] + half), position + form.size

    return read


def _sized(size: Struct, convert: Callable[[bytes], object]) -> Read:
    def read(data: bytes, position: int) -> tuple[object, int]:
        content, position = sized(data, position, size)
        return convert(content), position

    return read


def _starred_text(data: bytes, position: int) -> tuple[str, int]:
    start = position + 1
    end = start + (data[position] ^ 0x80)
    if end > len(data):
        raise ContentError(ENDS_EARLY)
    return text(data[start:end]), end


def _integer(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def _part(data: bytes, position: int) -> tuple[int, int]:
    """An integer that is part of another number."""
    content, position = sized(data, position, LG)
    if len(content) > MAX_PART:
        raise ContentError(f"a ratio or decimal consists of an integer of more than {MAX_PART} bytes")
    return _integer(content), position


def _decimal(data: bytes, position: int) -> tuple[Decimal, int]:
    unscaled, position = _part(data, position)
    (scale,) = LG.unpack_from(data, position)
    return Decimal(f"{unscaled}E{-scale}"), position + 4


def _ratio(data: bytes, position: int) -> tuple[Fraction | int, int]:
    numerator, position = _part(data, position)
    denominator, position = _part(data, position)
    if not denominator:
        raise ContentError("a ratio divides by zero")
    ratio = Fraction(numerator, denominator)
    return (ratio.numerator if ratio.denominator == 1 else ratio), position


def _character(data: bytes, position: int) -> tuple[Char, int]:
    (code,) = _UNSIGNED_MD.unpack_from(data, position)
    # Half a surrogate pair is what Java's writers make of it in other content types.
    return Char("?" if 0xD800 <= code <= 0xDFFF else chr(code)), position + 2


def _date(data: bytes, position: int) -> tuple[Any, int]:
    return from_epoch(milliseconds=XL.unpack_from(data, position)[0]), position + 8


def _seconds(data: bytes, position: int) -> tuple[int, int, int]:
    return *_SECONDS.unpack_from(data, position), position + 12


_SECONDS = Struct(">qi")
_PERIOD = Struct(">iii")


def _instant(data: bytes, position: int) -> tuple[Any, int]:
    seconds, nanoseconds, position = _seconds(data, position)
    return from_epoch(seconds=seconds, nanoseconds=nanoseconds), position


def _duration(data: bytes, position: int) -> tuple[Unreadable, int]:
    seconds, nanoseconds, position = _seconds(data, position)
    return Unreadable("java.time.Duration", _iso_duration(seconds * 10**9 + nanoseconds)), position


def _iso_duration(nanoseconds: int) -> str:
    """As Java prints it: ``PT1M30.000000005S``."""
    sign = -1 if nanoseconds < 0 else 1
    seconds, rest = divmod(abs(nanoseconds), 10**9)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{sign * hours}H" if hours else ""
    text += f"{sign * minutes}M" if minutes else ""
    if seconds or rest or not text:
        fraction = f".{rest:09}".rstrip("0") if rest else ""
        text += f"{'-' if sign < 0 else ''}{seconds}{fraction}S"
    return "PT" + text


def _period(data: bytes, position: int) -> tuple[Unreadable, int]:
    parts = zip(_PERIOD.unpack_from(data, position), "YMD", strict=True)
    text = "".join([f"{number}{letter}" for number, letter in parts if number])
    return Unreadable("java.time.Period", "P" + (text or "0D")), position + 12


def _uuid(data: bytes, position: int) -> tuple[UUID, int]:
    end = position + 16
    if end > len(data):
        raise ContentError(ENDS_EARLY)
    return UUID(bytes=data[position:end]), end


def _array(letter: str, width: int) -> Read:
    """A Java array of numbers: their count, and the numbers themselves."""

    def read(data: bytes, position: int) -> tuple[list[Any], int]:
        (count,) = LG.unpack_from(data, position)
        start = position + 4
        end = start + count * width
        if not start <= end <= len(data):
            raise ContentError(ENDS_EARLY if count > 0 else f"a size is negative: {count}")
        return list(Struct(f">{count}{letter}").unpack_from(data, start)), end

    return read


_STACK_TRACE_ELEMENT = 0x71A1


def _custom(data: bytes, position: int) -> tuple[list[Any], int]:
    """A value of a type that the peer's program added; of these slacker's own is known."""
    (custom,) = MD.unpack_from(data, position)
    if custom != _STACK_TRACE_ELEMENT:
        raise ContentError(
            f"custom type {custom} is none that slacker defines, and its program alone can read it"
        )
    position += 2
    names = []
    for _ in range(3):
        content, position = sized(data, position, _UNSIGNED_MD)
        names.append(_modified_text(content))
    class_name, method, file = names
    (line,) = LG.unpack_from(data, position)
    return [Symbol(class_name), Symbol(method), file, line], position + 4


def _keyword(data: bytes) -> Keyword:
    return Keyword(text(data))


_SM_TEXT = _sized(SM, text)


def _short_text(data: bytes, position: int) -> tuple[Any, int]:
    """What most strings are; it takes half the time that :data:`_SM_TEXT` would."""
    start = position + 1
    end = start + data[position]
    if data[position] < 128 and end <= len(data):
        return text(data[start:end]), end
    return _SM_TEXT(data, position)


#: Short names that were read before, by their bytes. Peers choose them, hence the bound; when full it starts
#: anew.
_KEYWORDS: dict[bytes, Keyword] = {}
_MAX_KEYWORDS = 4096


def _short_keyword(data: bytes, position: int) -> tuple[Keyword, int]:
    """What most keywords are."""
    end = position + 1 + data[position]
    name = data[position + 1 : end]
    keyword = _KEYWORDS.get(name)
    if keyword is None or end > len(data):
        content, end = sized(data, position, SM)
        keyword = _keyword(content)
        if len(_KEYWORDS) >= _MAX_KEYWORDS:
            _KEYWORDS.clear()
        _KEYWORDS[name] = keyword
    return keyword, end


def _symbol(data: bytes) -> Symbol:
    return Symbol(text(data))


def _old_edn(data: bytes) -> Any:
    return edn.loads(_modified_text(data).encode())


#: By id.
ATOMS: dict[int, Read] = {
    3: _constant(None),
    8: _constant(True),
    9: _constant(False),
    4: lambda data, position: (data[position] != 0, position + 1),
    10: _character,
    # integers of 64 bits or less; Java's byte, short and int
    0: _constant(0),
    100: _number(SM),
    101: _number(MD),
    102: _number(LG),
    43: _number(XL),
    40: _number(SM),
    41: _number(MD),
    42: _number(LG),
    87: _offset_integer(SM, 1),
    88: _offset_integer(MD, 1),
    89: _offset_integer(LG, 1),
    93: _offset_integer(SM, -1),
    94: _offset_integer(MD, -1),
    95: _offset_integer(LG, -1),
    # other numbers
    44: _sized(LG, _integer),
    45: _sized(LG, _integer),
    70: _ratio,
    62: _decimal,
    55: _constant(0.0),
    60: _number(Struct(">f")),
    61: _number(Struct(">d")),
    # text and bytes
    34: _constant(""),
    105: _short_text,
    96: _starred_text,
    16: _sized(MD, text),
    13: _sized(LG, text),
    11: _sized(_UNSIGNED_MD, _modified_text),
    53: _constant(b""),
    7: _sized(SM, bytes),
    15: _sized(MD, bytes),
    2: _sized(LG, bytes),
    # names; 77 and 78 should have had two bytes of size
    106: _short_keyword,
    85: _sized(MD, _keyword),
    14: _sized(LG, _keyword),
    77: _sized(LG, _keyword),
    12: _sized(_UNSIGNED_MD, lambda data: Keyword(_modified_text(data))),
    56: _sized(SM, _symbol),
    86: _sized(MD, _symbol),
    57: _sized(LG, _symbol),
    78: _sized(LG, _symbol),
    # times, UUIDs
    90: _date,
    92: _date,
    79: _instant,
    83: _duration,
    84: _period,
    91: _uuid,
    # arrays of numbers
    118: _array("i", 4),
    119: _array("q", 8),
    120: _array("f", 4),
    121: _array("d", 8),
    # what only a peer's program knows
    82: _custom,
    # stands for a function in metadata, and so is dropped with it
    104: _constant(None),
}

#: The ids of EDN text, which may hold anything.
EDN: dict[int, Read] = {
    47: _sized(SM, edn.loads),
    51: _sized(MD, edn.loads),
    52: _sized(LG, edn.loads),
    5: _sized(LG, edn.loads),
    1: _sized(_UNSIGNED_MD, _old_edn),
}
