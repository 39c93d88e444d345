"""Content type 30, ``msgpack``: MessagePack with extension codes, between two peers that are this project.

Plain values (None, booleans, 64-bit integers, floats, strings, bytes, lists, dicts) are packed and unpacked
by the C library without a Python call, save one for every map that is read: keys that are equal must not be
lost in silence. What MessagePack lacks travels in these extension codes:

=====  ============  =========================================================
code   value         payload
=====  ============  =========================================================
-1     datetime      MessagePack's own timestamp
1 2 3  Keyword,      the text in UTF-8, without colon or backslash
       Symbol, Char
4      List          one packed array: the elements
5      set           one packed array: the elements
6      Fraction      one packed array: numerator and denominator
7      Tagged        one packed array: tag and value
8      int           two's complement, big-endian; only beyond 64 bits
9      Decimal       text
10     UUID          16 bytes
=====  ============  =========================================================
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from msgpack import ExtType, Packer, Timestamp, unpackb

from slacker.content.codec import MAX_DEPTH, MAX_PART, Codec
from slacker.content.refusal import Refusal, TooDeep, refuse, told
from slacker.content.types import tagged, write_twin
from slacker.content.values import Char, Keyword, List, Map, Symbol, Tagged, make_dict, make_set
from slacker.content.walk import is_deeper
from slacker.errors import ContentError

#: How deep containers that travel as an extension (lists, sets, tagged values) may stand in each other. Each
#: such level is packed on its own and copied once more, and reading it takes 40 KiB of the C stack.
MAX_EXTENSIONS = 32

#: A packer whose buffer has grown beyond this many bytes is let go rather than kept. (A new one for each
#: large value would cost as much as writing it: fresh memory has to be mapped, page by page.)
KEPT_BUFFER = 4 * 1024 * 1024

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class _Level:
    """Packs and unpacks what stands inside ``depth`` extensions."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        # A Packer has one buffer, so two threads cannot share it; but making one costs more than packing a
        # small value. So the idle ones wait here, at most as many as threads ever packed at once. pop and
        # append are atomic.
        self.idle: list[Packer] = []

    def packer(self) -> Packer:
        # strict_types, or a List would pass for a plain list. Its price: every tuple comes to _extend.
        return Packer(default=self._extend, strict_types=True)

    def pack(self, value: object) -> bytes:
        try:
            packer = self.idle.pop()
        except IndexError:
            packer = self.packer()
        packed: bytes = packer.pack(value)  # a packer that raised is not used again
        if len(packed) <= KEPT_BUFFER:
            self.idle.append(packer)
        return packed

    def unpack(self, data: bytes) -> Any:
        return unpackb(
            data, ext_hook=self.read_extension, object_pairs_hook=make_dict, strict_map_key=False, timestamp=3
        )

    def _extend(self, value: Any) -> object:
        """The C packer asks this for a value of a type that it does not know, and packs what it gets."""
        extend = _EXTENDERS.get(type(value))
        if extend is not None:
            return extend(value, self)
        return write_twin(value, self._twin)

    def _twin(self, twin: Any) -> object:
        extend = _EXTENDERS.get(type(twin))  # the C packer asks only once for one value
        return twin if extend is None else extend(twin, self)

    def nest(self, code: int, value: object, elements: list[Any]) -> ExtType:
        """The extension whose payload is the array of ``elements``, which are those of ``value``."""
        if self.depth == MAX_EXTENSIONS:
            raise Refusal(value, f"stands in more than {MAX_EXTENSIONS} lists, sets and tagged values")
        # The C library limits the depth of each payload, but payloads stand in each other.
        if not self.depth and is_deeper(elements, MAX_DEPTH):
            raise TooDeep
        return ExtType(code, LEVELS[self.depth + 1].pack(elements))

    def read_extension(self, code: int, data: bytes) -> Any:
        read = _READERS.get(code)
        if read is None:
            raise ContentError(
                f"extension code {code} is not one of msgpack's ({min(_READERS)} to {max(_READERS)})"
            )
        return read(data, self)

    def unnest(self, data: bytes) -> list[Any]:
        """The elements of an extension whose payload is an array."""
        if self.depth == MAX_EXTENSIONS:
            raise ContentError(
                f"more than {MAX_EXTENSIONS} lists, sets and tagged values stand in each other"
            )
        elements = LEVELS[self.depth + 1].unpack(data)
        if type(elements) is not list:
            raise ContentError("the payload of an extension is not the array it should be")
        if not self.depth and is_deeper(elements, MAX_DEPTH):
            raise ContentError(f"the value is nested more than {MAX_DEPTH} levels deep")
        return elements

    def unnest_pair(self, data: bytes) -> tuple[Any, Any]:
        elements = self.unnest(data)
        if len(elements) != 2:
            raise ContentError(f"the payload of an extension has {len(elements)} elements and should have 2")
        return elements[0], elements[1]


def _timestamp(value: datetime, _level: _Level) -> Timestamp:
    if value.utcoffset() is None:
        raise Refusal(value, "is a datetime without a time zone; give it one, as tzinfo=timezone.utc")
    since = value - _EPOCH
    return Timestamp(since.days * 86400 + since.seconds, since.microseconds * 1000)


def _integer(value: int, _level: _Level) -> object:
    if -(2**63) <= value < 2**64:
        return value  # an instance of a subclass came here; its plain twin is for the C library
    return ExtType(8, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _name(code: int) -> Callable[[Any, _Level], ExtType]:
    return lambda value, _level: ExtType(code, value.text.encode())


def _fraction(value: Fraction, level: _Level) -> ExtType:
    parts = [value.numerator, value.denominator]
    if not all(map(_is_part, parts)):
        raise Refusal(value, f"consists of an integer of more than {MAX_PART} bytes")
    return level.nest(6, value, parts)


def _is_part(number: int) -> bool:
    return number.bit_length() < 8 * MAX_PART


_EXTENDERS: dict[type, Callable[[Any, _Level], object]] = {
    tuple: lambda value, _level: list(value),
    Map: lambda value, _level: dict(value),
    datetime: _timestamp,
    Keyword: _name(1),
    Symbol: _name(2),
    Char: _name(3),
    List: lambda value, level: level.nest(4, value, list(value)),
    frozenset: lambda value, level: level.nest(5, value, list(value)),
    set: lambda value, level: level.nest(5, value, list(value)),
    Fraction: _fraction,
    Tagged: lambda value, level: level.nest(7, value, [value.tag, value.value]),
    int: _integer,
    Decimal: lambda value, _level: ExtType(9, str(value).encode()),
    UUID: lambda value, _level: ExtType(10, value.bytes),
}


def _read_fraction(data: bytes, level: _Level) -> Fraction:
    numerator, denominator = level.unnest_pair(data)
    if type(numerator) is not int or type(denominator) is not int:
        raise ContentError("a ratio consists of two integers")
    if not (_is_part(numerator) and _is_part(denominator)):
        raise ContentError(f"a ratio consists of an integer of more than {MAX_PART} bytes")
    return Fraction(numerator, denominator)


_READERS: dict[int, Callable[[bytes, _Level], Any]] = {
    1: lambda data, _level: Keyword(str(data, "utf-8")),
    2: lambda data, _level: Symbol(str(data, "utf-8")),
    3: lambda data, _level: Char(str(data, "utf-8")),
    4: lambda data, level: List(level.unnest(data)),
    5: lambda data, level: make_set(level.unnest(data)),
    6: _read_fraction,
    7: lambda data, level: tagged(*level.unnest_pair(data)),
    8: lambda data, _level: int.from_bytes(data, "big", signed=True),
    9: lambda data, _level: Decimal(str(data, "ascii")),
    10: lambda data, _level: UUID(bytes=data),
}

LEVELS = tuple([_Level(depth) for depth in range(MAX_EXTENSIONS + 1)])
_idle = LEVELS[0].idle
_make_packer = LEVELS[0].packer
_read_extension = LEVELS[0].read_extension


def dumps(value: object) -> bytes:
    """``value`` as MessagePack.

    :raises ContentError: it holds something that msgpack cannot carry; the message says what and where.
    """
    # LEVELS[0].pack, without the call: this is the hot path of every call between two peers of this project.
    try:
        try:
            packer = _idle.pop()
        except IndexError:
            packer = _make_packer()
        packed: bytes = packer.pack(value)
    except Exception as error:
        if type(error) is ValueError and "recursion" in str(error):  # the C library's own word for it
            error = TooDeep()
        refuse("msgpack", value, error)
    if len(packed) <= KEPT_BUFFER:
        _idle.append(packer)
    return packed


def loads(data: bytes) -> Any:
    """The one value that ``data`` is.

    :raises ContentError: it is not one MessagePack value, or one with extensions that are not ours.
    """
    try:
        return unpackb(
            data, ext_hook=_read_extension, object_pairs_hook=make_dict, strict_map_key=False, timestamp=3
        )
    except ContentError as error:
        raise ContentError(f"not a msgpack payload: {error}") from None
    except (ValueError, TypeError, ArithmeticError, RuntimeError, MemoryError) as error:
        why = str(error) or type(error).__name__
        raise ContentError(f"not a msgpack payload of {len(data)} bytes: {why}") from None
    except Exception as error:  # a registered type's own, when its instances become keys
        raise ContentError(f"not a msgpack payload: {told(error)}") from error


CODEC = Codec("msgpack", 30, dumps, loads)
