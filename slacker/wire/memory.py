"""The memory of large frames, kept where the C library would give it back only to get it again."""

from __future__ import annotations

from functools import cache

from slacker.wire.frames import DEFAULT_MAX_FRAME

#: Bytes from which on what a frame carries is large: to copy it costs more than what avoids that.
LARGE = 1 << 16


@cache  # once in a process
def keep_freed() -> None:
    """Let the process keep what it frees, up to twice the default limit of a frame; where glibc is.

    A call of a megabyte frees several blocks of this size, and glibc gives memory back to the system as soon
    as twice the largest block that was ever freed lies idle. To get it again, page by page, takes longer than
    all else that is done with a large frame. So a larger block is freed here, which nobody has written to.
    """
    bytes(DEFAULT_MAX_FRAME)
