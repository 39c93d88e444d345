"""What a content type is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

#: Levels of nesting a codec reads and writes: each vector, list, map, set and tagged value is one. Data of
#: people and programs has a few dozen; each level costs a stack frame in whatever walks the value (writers,
#: comparison, repr), and Python has about a thousand of them. In transit a list, a set or a map with odd keys
#: is two arrays in each other, of which libraries for MessagePack bear about 500, and those for JSON 1,000.
MAX_DEPTH = 250

#: Bytes of the integers that make up a ratio, and nippy's decimals: beyond, reducing or converting them would
#: take time that grows with the square of their length. It is what text can carry, too: 4,300 digits, as
#: Python reads and writes no more.
MAX_PART = 1785


@attrs.frozen(slots=True)
class Codec:
    """One content type; both functions raise :class:`~slacker.errors.ContentError` and nothing else.

    :ivar name: as in configuration and in ``slacker.content.dumps``.
    :ivar wire_id: the content-type byte of a frame.
    :ivar dumps: one value to bytes.
    :ivar loads: bytes to the one value that they are, all of them.
    """

    name: str
    wire_id: int
    dumps: Callable[[object], bytes]
    loads: Callable[[bytes], Any]
