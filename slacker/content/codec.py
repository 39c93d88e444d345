"""What a content type is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

#: Levels of nesting a codec reads and writes. Data of people and programs has a few dozen; each level
#: costs a stack frame in whatever walks the value (writers, comparison, repr), and Python has about a
#: thousand of them.
MAX_DEPTH = 512


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
