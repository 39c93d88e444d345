"""Jute, ZooKeeper's serialisation: big-endian numbers, and lengths before strings, buffers and vectors.

A length of -1 stands for "none". Text is UTF-8; Java writes what lies outside the basic plane as two
surrogates of three bytes each, so these pass here, and no path may contain them anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct
from typing import TypeVar

from slacker.errors import ZookeeperError

T = TypeVar("T")

_INT = Struct(">i")
_LONG = Struct(">q")


class MalformedRequest(ZookeeperError):
    """Bytes that are no request of ZooKeeper's protocol; the connection that sent them is closed."""


class Reader:
    """Takes the fields of one frame off, in order.

    Nothing is read, and no memory set aside, past the end of the frame: a length is compared with the bytes
    that are left before it is believed.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def remaining(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self._at

    def _take(self, count: int, what: str) -> int:
        """Move past `count` bytes; where they begin."""
        start = self._at
        if count > len(self._data) - start:
            raise MalformedRequest(
                f"{what} at byte {start} needs {count} bytes; the frame has {len(self._data) - start} left"
            )
        self._at = start + count
        return start

    def int32(self) -> int:
        """A signed number of four bytes."""
        return int(_INT.unpack_from(self._data, self._take(4, "a number"))[0])

    def int64(self) -> int:
        """A signed number of eight bytes."""
        return int(_LONG.unpack_from(self._data, self._take(8, "a number"))[0])

    def boolean(self) -> bool:
        """One byte; everything but 0 is true."""
        return self._data[self._take(1, "a boolean")] != 0

    def buffer(self) -> bytes | None:
        """Bytes, or None."""
        length = self.int32()
        if length < 0:
            return None
        start = self._take(length, "a buffer")
        return self._data[start : start + length]

    def string(self) -> str:
        """Text; none is empty text, as no field that holds text tells the two apart."""
        raw = self.buffer()
        try:
            return (raw or b"").decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as exc:
            raise MalformedRequest(f"text before byte {self._at} is not UTF-8: {exc.reason}") from exc

    def vector(self, read: Callable[[Reader], T]) -> list[T]:
        """A counted run of what `read` reads, at least four bytes each; none is an empty one."""
        count = self.int32()
        if count * 4 > self.remaining:
            raise MalformedRequest(
                f"a vector at byte {self._at} counts {count} items in the {self.remaining} bytes left"
            )
        return [read(self) for _ in range(count)]


def pack_buffer(value: bytes | None) -> bytes:
    """Bytes, or None, behind their length."""
    return b"\xff\xff\xff\xff" if value is None else _INT.pack(len(value)) + value


def pack_string(value: str) -> bytes:
    """Text behind its length in bytes."""
    return pack_buffer(value.encode("utf-8", "surrogatepass"))


def pack_vector(items: Iterable[bytes]) -> bytes:
    """Packed items behind their count."""
    packed = list(items)
    return _INT.pack(len(packed)) + b"".join(packed)


def int32(number: int) -> int:
    """The number as Java's int would hold it: counters wrap instead of failing."""
    return (number + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000
