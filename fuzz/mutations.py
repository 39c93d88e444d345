"""Inputs made from others, by changes in a few places."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

#: Changes the bytes in place.
Change = Callable[[bytearray], None]

#: Where in an input: a fraction of its length, so that it means something in any.
_PLACES = st.integers(0, 2**16 - 1)
_SIZES = st.integers(0, 40)

#: Numbers at which something may overflow, wrap around, or be taken for a huge count.
_NUMBERS = st.sampled_from(
    [
        0,
        1,
        2,
        0x7F,
        0x80,
        0xFF,
        0x7FFF,
        0x8000,
        0xFFFF,
        0x7FFFFFFF,
        0x80000000,
        0xFFFFFFFF,
        2**63 - 1,
        2**64 - 1,
    ]
)


def _at(data: bytearray, place: int) -> int:
    return place * (len(data) + 1) >> 16


def _set(place: int, byte: int) -> Change:
    def change(data: bytearray) -> None:
        at = _at(data, place)
        data[at : at + 1] = bytes([byte])

    return change


def _insert(place: int, piece: bytes) -> Change:
    def change(data: bytearray) -> None:
        at = _at(data, place)
        data[at:at] = piece

    return change


def _remove(place: int, size: int) -> Change:
    def change(data: bytearray) -> None:
        at = _at(data, place)
        del data[at : at + size]

    return change


def _end(place: int) -> Change:
    def change(data: bytearray) -> None:
        del data[_at(data, place) :]

    return change


def _copy(source: int, size: int, place: int, times: int) -> Change:
    def change(data: bytearray) -> None:
        start, at = _at(data, source), _at(data, place)
        data[at:at] = bytes(data[start : start + size]) * times

    return change


def _number(place: int, width: int, number: int) -> Change:
    def change(data: bytearray) -> None:
        at = _at(data, place)
        data[at : at + width] = (number % 256**width).to_bytes(width, "big")

    return change


def _splice(place: int, other: bytes, start: int, size: int) -> Change:
    def change(data: bytearray) -> None:
        at = _at(data, place)
        begin = start * (len(other) + 1) >> 16
        data[at:at] = other[begin : begin + size]

    return change


def mutated(corpus: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Inputs of the corpus with up to six changes, or any few bytes."""
    sources = st.sampled_from(list(corpus))
    changes = st.one_of(
        st.builds(_set, _PLACES, st.integers(0, 255)),
        st.builds(_insert, _PLACES, st.binary(min_size=1, max_size=4)),
        st.builds(_remove, _PLACES, _SIZES),
        st.builds(_end, _PLACES),
        st.builds(_copy, _PLACES, _SIZES, _PLACES, st.sampled_from([1, 1, 2, 20, 600])),
        st.builds(_number, _PLACES, st.sampled_from([1, 2, 4, 8]), _NUMBERS),
        st.builds(_splice, _PLACES, sources, _PLACES, _SIZES),
    )
    return st.one_of(st.builds(_changed, sources, st.lists(changes, max_size=6)), st.binary(max_size=16))


def _changed(source: bytes, changes: list[Change]) -> bytes:
    data = bytearray(source)
    for change in changes:
        change(data)
    return bytes(data)
