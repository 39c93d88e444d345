"""How long a session certainly lives."""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from slacker.zookeeper.client import ZookeeperClient
from slacker.zookeeper.errors import ZookeeperError
from slacker.zookeeper.events import State

_log = Logger()

# A lease lasts for this part of the session timeout. What is left of it covers the clocks' drift and whatever
# a leader has begun when it is told to stop.
_LEASE = 2 / 3
# It is renewed after this part, so that one slow answer does not end it.
_RENEWAL = 1 / 4


class Lease:
    """Until when a client's session certainly lives: counted from when the last request left that ZooKeeper's
    leader has answered.

    ``sync`` is that request, as it goes to the leader of the ensemble, which ends sessions, and not only to
    the server one is connected to. When bytes came last says less: a process that was stopped for a minute
    finds old ones waiting for it.

    While somebody holds it, it is renewed by itself.
    """

    def __init__(self, client: ZookeeperClient, *, clock: IReactorTime) -> None:
        self.client = client
        self.clock = clock
        self._until = float("-inf")
        self._until_monotonic = float("-inf")  # holds also when somebody sets the clock back
        self._holders: list[Callable[[], object]] = []
        self._renewing = False
        self._timer: IDelayedCall | None = None

    @property
    def valid(self) -> bool:
        """Whether the session lives. May be asked from any thread."""
        return self.clock.seconds() < self._until and time.monotonic() < self._until_monotonic

    async def renew(self) -> None:
        """Have a request answered.

        :raises ZookeeperError: if it was not.
        """
        sent, sent_monotonic = self.clock.seconds(), time.monotonic()
        await self.client.sync()
        timeout = self.client.session_timeout
        if timeout is None:
            return  # connected no more
        if not self.valid:
            self._lapse()  # the timer is late; who held it has to know before it is valid again
        seconds = timeout * _LEASE
        if sent + seconds > self._until:
            self._until, self._until_monotonic = sent + seconds, sent_monotonic + seconds

    def hold(self, lapsed: Callable[[], object]) -> None:
        """Keep it renewed, and call ``lapsed`` once on the reactor if it lapses before :meth:`release`."""
        if not self._holders:
            self.client.add_listener(self._session)
        self._holders.append(lapsed)
        self._look()

    def release(self, lapsed: Callable[[], object]) -> None:
        """Undo :meth:`hold`."""
        if lapsed in self._holders:
            self._holders.remove(lapsed)
        if not self._holders:
            self.client.remove_listener(self._session)
            self._cancel_timer()

    def _session(self, state: State) -> None:
        if state not in (State.CONNECTED, State.CONNECTING):
            self._lapse()  # the session is gone

    def _lapse(self) -> None:
        self._until = float("-inf")
        for lapsed in list(self._holders):
            self.release(lapsed)
            lapsed()

    def _look(self) -> None:
        """Renew, or notice that it has lapsed."""
        self._cancel_timer()
        now = self.clock.seconds()
        if not self.valid:
            self._lapse()
        elif self._holders:
            timeout = self.client.session_timeout
            pause = max(self._until - now, 0.0)
            if timeout is not None:
                pause = min(pause, timeout * _RENEWAL)
            self._timer = self.clock.callLater(pause, self._renew_and_look)

    def _renew_and_look(self) -> None:
        self._timer = None
        if self.valid and self.client.connected and not self._renewing:
            self._renewing = True
            Deferred.fromCoroutine(self.renew()).addBoth(self._renewed)
        self._look()

    def _renewed(self, result: object) -> None:
        self._renewing = False
        if isinstance(result, Failure) and not result.check(ZookeeperError):
            _log.failure("cannot renew the lease of a ZooKeeper session", failure=result)

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
