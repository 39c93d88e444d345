"""The Nippy reader: one loop over the bytes, a stack of what is open, no recursion."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from struct import Struct
from typing import Any

from slacker.content.codec import MAX_DEPTH
from slacker.content.nippy.atoms import ATOMS, EDN, ENDS_EARLY, LG, MD, SM, sized, text
from slacker.content.refusal import told
from slacker.content.values import MAX_SAME_HASH, List, Tagged, Unreadable, make_dict, make_set
from slacker.content.walk import is_deeper, measure
from slacker.errors import ContentError

#: Makes the value of a container from its elements.
Close = Callable[[list[Any]], Any]

#: Reads what stands between the id of a container and its elements: how many there are, what makes the
#: value of them, and the position of the first.
Open = Callable[[bytes, int], tuple[int, Close, int]]

#: The values that references to Nippy's cache may add to a payload: so many for each of its bytes, or so
#: many in all. Without a bound, entries that refer twice to the entry before them would double with each.
VALUES_PER_BYTE = 16
FREE_VALUES = 100_000

_TOO_DEEP = f"the value is nested more than {MAX_DEPTH} levels deep"


def _vector(items: list[Any]) -> list[Any]:
    return items


def _map(items: list[Any]) -> dict[Any, Any]:
    if len(items) <= 2 * MAX_SAME_HASH:
        try:
            entries = dict(zip(items[::2], items[1::2], strict=True))
            if len(entries) * 2 == len(items):
                return entries
        except TypeError:  # an unhashable key
            pass
    return make_dict(list(zip(items[::2], items[1::2], strict=True)))


def _behind_metadata(items: list[Any]) -> Any:
    return items[1]


def _metadata(_items: list[Any]) -> None:
    """Metadata is not kept, so it may hold what Python could not: keys that are equal, for one."""


def _regex(items: list[Any]) -> Unreadable:
    return Unreadable("java.util.regex.Pattern", _string(items[0], "regular expression"))


def _uri(items: list[Any]) -> Tagged:
    return Tagged("uri", _string(items[0], "URI"))


def _string(value: Any, what: str) -> str:
    if type(value) is not str:
        raise ContentError(f"a {what} is a string, not {type(value).__name__}")
    return value


def _record(class_name: str, items: list[Any]) -> Tagged:
    if type(items[0]) is not dict:
        raise ContentError(f"the fields of a record are a map, not {type(items[0]).__name__}")
    return Tagged(class_name, items[0])


def _serialised(class_name: str, items: list[Any]) -> Unreadable:
    if type(items[0]) is not bytes:
        raise ContentError(f"an object serialised by Java is bytes, not {type(items[0]).__name__}")
    return Unreadable(class_name)


def _fixed(count: int, close: Close) -> Open:
    return lambda _data, position: (count, close, position)


def _counted(form: Struct, close: Close, each: int = 1) -> Open:
    """So many times ``each`` elements as the count says."""

    def open_(data: bytes, position: int) -> tuple[int, Close, int]:
        (count,) = form.unpack_from(data, position)
        if count < 0:
            raise ContentError(f"a count is negative: {count}")
        return count * each, close, position + form.size

    return open_


def _starred(close: Close, each: int = 1) -> Open:
    """The count is a byte without sign, stored with an offset."""
    return lambda data, position: ((data[position] ^ 0x80) * each, close, position + 1)


def _halved(data: bytes, position: int) -> tuple[int, Close, int]:
    """A map whose count is that of keys and values together."""
    (count,) = LG.unpack_from(data, position)
    if count < 0 or count % 2:
        raise ContentError(f"a map has {count} keys and values together")
    return count, _map, position + 4


def _named(form: Struct, close: Callable[[str, list[Any]], Any]) -> Open:
    """The name of a class, then one element."""

    def open_(data: bytes, position: int) -> tuple[int, Close, int]:
        name, position = sized(data, position, form)
        return 1, partial(close, text(name)), position

    return open_


_METADATA = 25

_CONTAINERS: dict[int, Open] = {
    17: _fixed(0, _vector),
    113: _fixed(2, _vector),
    114: _fixed(3, _vector),
    110: _counted(SM, _vector),
    97: _starred(_vector),
    69: _counted(MD, _vector),
    21: _counted(LG, _vector),
    103: _fixed(2, _vector),  # a map's entry
    115: _counted(LG, _vector),  # Java's arrays of objects, of strings, and of numbers as Nippy 3.5 had them
    107: _counted(LG, _vector),
    108: _counted(LG, _vector),
    109: _counted(LG, _vector),
    116: _counted(LG, _vector),
    117: _counted(LG, _vector),
    35: _fixed(0, List),
    36: _counted(SM, List),
    54: _counted(MD, List),
    20: _counted(LG, List),
    37: _fixed(0, List),  # sequences
    38: _counted(SM, List),
    39: _counted(MD, List),
    24: _counted(LG, List),
    26: _counted(LG, List),  # queues
    18: _fixed(0, make_set),
    111: _counted(SM, make_set),
    98: _starred(make_set),
    32: _counted(MD, make_set),
    23: _counted(LG, make_set),
    28: _counted(LG, make_set),  # sorted
    19: _fixed(0, _map),
    112: _counted(SM, _map, 2),
    99: _starred(_map, 2),
    123: _starred(_map, 2),  # in Nippy 3.7 alone
    33: _counted(MD, _map, 2),
    30: _counted(LG, _map, 2),
    22: _counted(LG, _map, 2),
    27: _halved,
    31: _counted(LG, _map, 2),  # sorted
    29: _halved,
    _METADATA: _fixed(2, _behind_metadata),
    58: _fixed(1, _regex),
    71: _fixed(1, _uri),
    48: _named(SM, _record),
    49: _named(MD, _record),
    80: _named(LG, _record),
    75: _named(SM, _serialised),
    76: _named(MD, _serialised),
}

#: Entries of the cache: the index itself, or how it is stored.
_CACHED: dict[int, int | Struct] = {59: 0, 63: 1, 64: 2, 65: 3, 66: 4, 72: 5, 73: 6, 74: 7, 67: SM, 68: MD}

_REFUSED = {
    **dict.fromkeys((6, 46, 50), "an object serialised by Java the old way, whose end cannot be told"),
    **dict.fromkeys((81, 122), "an instance of a deftype, which only its own program can read"),
    **dict.fromkeys(range(128, 256), "of a custom type, which only its own program can read"),
}


class _Cache:
    """The values that a payload refers to."""

    def __init__(self, payload: int) -> None:
        self._values: dict[int, Any] = {}
        self._measures: dict[int, tuple[int, int]] = {}
        self._limit = self._left = max(FREE_VALUES, VALUES_PER_BYTE * payload)

    def __contains__(self, index: int) -> bool:
        return index in self._values

    def get(self, index: int, levels: int) -> Any:
        """The value of that entry, which may have so many levels of nesting."""
        value = self._values[index]
        if index not in self._measures:
            self._measures[index] = measure(value, self._left)
        size, depth = self._measures[index]
        self._left -= size
        if self._left < 0:
            raise ContentError(f"references to cached values make more than {self._limit} values of it")
        if depth > levels:
            raise ContentError(_TOO_DEEP)
        return value

    def store(self, index: int, items: list[Any]) -> Any:
        """The only one of ``items``; it is that entry of the cache now."""
        self._values[index] = items[0]
        return items[0]


def loads(data: bytes) -> Any:
    """The one value that ``data`` is.

    :raises ContentError: it is not one Nippy value, holds one whose end cannot be told, or is nested more
        than :data:`MAX_DEPTH` levels deep; the message says at which byte.
    """
    reader = _Reader(data)
    try:
        value = reader.read()
        if reader.position != len(data):
            raise ContentError("one value was expected, and here is more")
    except (IndexError, struct.error):
        reason = ENDS_EARLY
    except RecursionError:
        reason = "a map key or set member is nested too deeply"
    except ValueError as error:  # a ContentError, as a rule
        reason = str(error)
    except Exception as error:  # a registered type's own, when its instances become keys
        reason = told(error)
    else:
        return value
    raise ContentError(f"not a nippy payload: at byte {reader.position}: {reason}")


class _Reader:
    """One payload.

    :ivar position: in ``data``: of the value being read.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def read(self) -> Any:
        data = self.data
        position = 0
        items: list[Any] = []  # the elements of what was opened last, so far
        missing = 1  # how many more it has
        close: Close = _vector
        stack: list[tuple[list[Any], int, Close]] = []  # what is open around it
        cache = _Cache(len(data))
        while True:
            self.position = position
            kind = data[position]
            atom = ATOMS.get(kind)
            if atom is not None:
                value, position = atom(data, position + 1)
            elif kind in EDN:
                value, position = EDN[kind](data, position + 1)
                if stack and is_deeper(value, MAX_DEPTH - len(stack)):
                    raise ContentError(_TOO_DEEP)
            else:
                count, closing, position = self._open(kind, position + 1, cache, MAX_DEPTH - len(stack))
                if count:
                    if len(stack) == MAX_DEPTH:
                        raise ContentError(_TOO_DEEP)
                    if close is _behind_metadata and not items:
                        closing = _metadata
                    stack.append((items, missing, close))
                    items, missing, close = [], count, closing
                    continue
                value = closing([])
            items.append(value)
            missing -= 1
            while not missing:
                if not stack:
                    self.position = position
                    return items[0]
                value = close(items)
                items, missing, close = stack.pop()
                items.append(value)
                missing -= 1

    def _open(self, kind: int, position: int, cache: _Cache, levels: int) -> tuple[int, Close, int]:
        """Like :data:`Open`, for any id."""
        open_ = _CONTAINERS.get(kind)
        if open_ is not None:
            return open_(self.data, position)
        if kind not in _CACHED:
            raise ContentError(f"type {kind} is {_REFUSED.get(kind, 'none of those that Nippy has')}")
        index = _CACHED[kind]
        if isinstance(index, Struct):
            form = index
            (index,) = form.unpack_from(self.data, position)
            position += form.size
        if index in cache:
            value = cache.get(index, levels)
            return 0, lambda _items: value, position
        return 1, partial(cache.store, index), position
