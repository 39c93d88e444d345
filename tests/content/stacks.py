"""Callers whose stack is nearly full."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def with_frames_left(frames: int, call: Callable[[], _T]) -> _T:
    """Calls ``call`` where Python allows only so many more frames."""
    used = 0
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        used += 1

    def dig(levels: int) -> _T:
        return dig(levels - 1) if levels > 0 else call()

    return dig(sys.getrecursionlimit() - used - frames)
