"""The calls of one client that wait for an answer: their ids, their deadlines, and that each ends once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

_FIRST_ID = 1
_MAX_ID = 2**31 - 1
_MIN_ID = -(2**31)

#: Seconds between two sweeps at the least, so that many different deadlines cost no more than this.
_MIN_SWEEP = 0.01


class PendingCall(Deferred[Any]):
    """A call that has not ended: the Deferred that its caller holds, and what is needed to end it.

    One object for both, because one is built for each call.

    :ivar tid: its id, while it is in the table.
    :ivar name: ``namespace/function`` in UTF-8.
    :ivar timeout: seconds, as asked for.
    :ivar deadline: when it ends at the latest, by the clock's seconds.
    :ivar receive: what is told of the answer as it comes; None where its result is decoded right away.
    :ivar interrupt: whether the server is told when it times out.
    :ivar transmit: sends it once there is a connection; None when that has happened.
    """

    __slots__ = ("deadline", "name", "tid", "timeout")
    tid: int
    name: bytes
    timeout: float
    deadline: float
    receive: Callable[[Any], object] | None = None
    interrupt = False
    transmit: Callable[[PendingCall], None] | None = None  # (Deferred has a send of its own)

    @property
    def function(self) -> str:
        """``namespace/function``, for messages."""
        return self.name.decode()


class PendingCalls:
    """A table of calls by transaction id, with one timer for all deadlines.

    The timer runs for the earliest deadline known when it was set. What ends earlier leaves the table without
    a word to the timer, so that a call that is answered in time costs no timer operation.

    :param expired: called with each call, taken out of the table, whose time is over.
    """

    def __init__(self, clock: IReactorTime, expired: Callable[[PendingCall], None]) -> None:
        self.calls: dict[int, PendingCall] = {}
        self._clock = clock
        self._seconds = clock.seconds
        self._expired = expired
        self._next_id = _FIRST_ID
        self._timer: IDelayedCall | None = None
        self._sweep_at = float("inf")

    def add(self, call: PendingCall, timeout: float) -> int:
        """Take up a call that ends ``timeout`` seconds from now at the latest; the id that it is given."""
        tid = self._next_id
        if not 0 < tid < _MAX_ID or tid in self.calls:
            tid = self._free_id(tid)
        self._next_id = tid + 1 if tid < _MAX_ID else _MIN_ID
        call.tid = tid
        call.timeout = timeout
        call.deadline = deadline = self._seconds() + timeout
        self.calls[tid] = call
        if deadline < self._sweep_at:
            self._schedule(deadline)
        return tid

    def remove(self, call: PendingCall) -> bool:
        """Take a call out of the table; False if it has ended already."""
        if self.calls.get(call.tid) is not call:
            return False
        del self.calls[call.tid]
        return True

    def take(self, calls: list[PendingCall]) -> Iterator[PendingCall]:
        """Take these calls out, each just before it is ended: the end of one may be the end of another."""
        return filter(self.remove, calls)

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._sweep_at = float("inf")

    def _free_id(self, tid: int) -> int:
        """The next id that is neither 0 nor of a call that is still pending."""
        while tid == 0 or tid in self.calls:
            tid = tid + 1 if tid < _MAX_ID else _MIN_ID
        return tid

    def _schedule(self, at: float) -> None:
        self.stop()
        self._sweep_at = at
        self._timer = self._clock.callLater(max(_MIN_SWEEP, at - self._seconds()), self._sweep)

    def _sweep(self) -> None:
        now = self._seconds()
        self._sweep_at = float("inf")
        for call in self.take([call for call in self.calls.values() if call.deadline <= now]):
            self._expired(call)
        earliest = min((call.deadline for call in self.calls.values()), default=self._sweep_at)
        if earliest < self._sweep_at:
            self._schedule(earliest)
