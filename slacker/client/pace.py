"""Turns for what many connections would do in the same moment."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: What costs the reactor a tenth of a millisecond or more for each connection, so that a thousand of them
#: would hold it up, is done so many times at once, and again every so many seconds: 500 in a second.
AT_ONCE = 10
PAUSE = 0.02


class Pace:
    """Gives out :data:`AT_ONCE` turns every :data:`PAUSE` seconds, in the order in which they were asked for.

    At most one turn should be asked for at a time for each connection: then the line is no longer than the
    list of servers.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._line: dict[Deferred[None], None] = {}
        self._timer: IDelayedCall | None = None
        self._began = float("-inf")
        self._left = 0

    def turn(self) -> Deferred[None]:
        """Fires when it is the caller's turn, at once if nobody waits. Cancelling it gives the place up."""
        now = self._clock.seconds()
        if not self._line:
            if now - self._began >= PAUSE:
                self._began, self._left = now, AT_ONCE
            if self._left:
                self._left -= 1
                return succeed(None)
            self._timer = self._clock.callLater(self._began + PAUSE - now, self._go_on)
        place: Deferred[None] = Deferred(self._leave)
        self._line[place] = None
        return place

    def _leave(self, place: Deferred[None]) -> None:
        del self._line[place]
        if not self._line and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_on(self) -> None:
        self._timer = None
        self._began, self._left = self._clock.seconds(), AT_ONCE
        while self._line and self._left:
            self._left -= 1
            place = next(iter(self._line))
            del self._line[place]
            place.callback(None)
        if self._line and self._timer is None:  # who has had a turn may have asked for the next, and set it
            self._timer = self._clock.callLater(PAUSE, self._go_on)
