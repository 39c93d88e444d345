"""The calls of one client that wait for an answer: their ids, their deadlines, and that each ends once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

_FIRST_ID = 1
_MAX_ID = 2**31 - 1
_MIN_ID = -(2**31)

#: Seconds between two sweeps at the least, so that many different deadlines cost no more than this.
_MIN_SWEEP = 0.01


@define(eq=False)
class PendingCall:
    """A call that has not ended; ``unsent`` sends it, and is None once that has happened."""

    deferred: Deferred[Any]
    function: str
    timeout: float
    deadline: float
    read: Callable[[Any], Any] | None = None  # for inspect answers
    unsent: Callable[[int, PendingCall], None] | None = None


class PendingCalls:
    """A table of calls by transaction id, with one timer for all deadlines.

    The timer runs for the earliest deadline known when it was set. What ends earlier leaves the table without
    a word to the timer, so that a call that is answered in time costs no timer operation.

    :param expired: called with the id and the call, taken out of the table, when its time is over.
    """

    def __init__(self, clock: IReactorTime, expired: Callable[[int, PendingCall], None]) -> None:
        self.calls: dict[int, PendingCall] = {}
        self._clock = clock
        self._seconds = clock.seconds
        self._expired = expired
        self._next_id = _FIRST_ID
        self._timer: IDelayedCall | None = None
        self._sweep_at = float("inf")

    def add(
        self, deferred: Deferred[Any], function: str, timeout: float, read: Callable[[Any], Any] | None = None
    ) -> tuple[int, PendingCall]:
        """Take up a call that ends ``timeout`` seconds from now at the latest."""
        tid = self._next_id
        calls = self.calls
        while tid in calls or tid == 0:
            tid = tid + 1 if tid < _MAX_ID else _MIN_ID
        self._next_id = tid + 1 if tid < _MAX_ID else _MIN_ID
        deadline = self._seconds() + timeout
        call = calls[tid] = PendingCall(deferred, function, timeout, deadline, read)
        if deadline < self._sweep_at:
            self._schedule(deadline)
        return tid, call

    def find(self, deferred: Deferred[Any]) -> int | None:
        """The id of the call with this Deferred. Looks through the table: for the rare ways only."""
        return next((tid for tid, call in self.calls.items() if call.deferred is deferred), None)

    def take_all(self) -> Iterator[PendingCall]:
        """Empty the table, and yield what was in it."""
        calls = list(self.calls.values())
        self.calls.clear()
        yield from calls

    def take_sent(self) -> Iterator[PendingCall]:
        """Take out what has been sent, and yield it."""
        sent = [(tid, call) for tid, call in self.calls.items() if call.unsent is None]
        for tid, _ in sent:
            del self.calls[tid]
        for _, call in sent:
            yield call

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._sweep_at = float("inf")

    def _schedule(self, at: float) -> None:
        self.stop()
        self._sweep_at = at
        self._timer = self._clock.callLater(max(_MIN_SWEEP, at - self._seconds()), self._sweep)

    def _sweep(self) -> None:
        now = self._seconds()
        over = [tid for tid, call in self.calls.items() if call.deadline <= now]
        expired = [(tid, self.calls.pop(tid)) for tid in over]
        self._sweep_at = float("inf")
        if self.calls:
            self._schedule(min(call.deadline for call in self.calls.values()))
        for tid, call in expired:
            self._expired(tid, call)
