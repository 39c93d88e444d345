"""Desired state: something that should be so in ZooKeeper, and is made so again whenever it may not be."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from slacker.zookeeper.client import ZookeeperClient
from slacker.zookeeper.errors import ZookeeperError, is_connection_exception
from slacker.zookeeper.events import State

_log = Logger()

# Seconds between two passes: the first follows a request almost at once; where requests (or failures) come
# one after the other, the pause doubles, so that two who undo each other's work never do it in a tight
# loop.
_PAUSE_FIRST = 0.05
_PAUSE_MOST = 30.0
# So many pauses of quiet, and the next request is again answered almost at once.
_QUIET = 4


class Reconciler:
    """Runs a pass over what is desired after each connect, each request, each failure, and on a jittered
    timer.

    :param make_it_so: one pass: compares and corrects, and may be run at any time, never twice at once. An
        error it raises means that another pass is needed.
    :param what: what a pass does, for the log: ``"publish 127.0.0.1:2104"``.
    :param audit: seconds (give or take a fifth) after which a pass is made without a reason.
    :ivar settled: whether the last pass succeeded and nothing is known to have changed since.
    """

    def __init__(
        self,
        client: ZookeeperClient,
        make_it_so: Callable[[], Coroutine[Deferred[Any], Any, None]],
        *,
        clock: IReactorTime,
        what: str,
        audit: float = 30.0,
    ) -> None:
        self.settled = False
        self._client = client
        self._make_it_so = make_it_so
        self._clock = clock
        self._what = what
        self._audit = audit
        self._pause = _PAUSE_FIRST
        self._ended_at = float("-inf")
        self._pass: Deferred[None] | None = None
        self._again = False
        self._timer: IDelayedCall | None = None
        self._auditing = False  # whether the timer is that of the next audit
        self._waiting: list[Deferred[None]] = []
        self._complaint = ""
        self._running = False

    def start(self) -> None:
        """Begin; the first pass runs when the client is connected."""
        self._running = True
        self._client.add_listener(self._session)
        self.request()

    def stop(self) -> None:
        """End; a pass under way is cancelled. Those who wait in :meth:`when_settled` get a ZookeeperError."""
        self._running = self.settled = False
        self._client.remove_listener(self._session)
        self._cancel_timer()
        if self._pass is not None:
            self._pass.cancel()
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.errback(ZookeeperError(f"{self._what}: stopped before it was done"))

    def request(self) -> None:
        """Something is, or may be, otherwise than desired: have a pass soon."""
        self.settled = False
        if not self._running or not self._client.connected:
            return
        if self._pass is not None:
            self._again = True
        elif self._timer is None or self._auditing:
            self._schedule(self._next_pause())

    def when_settled(self) -> Deferred[None]:
        """Fires when all is as desired: at once, or after the pass that makes it so. It may be cancelled."""
        done: Deferred[None] = Deferred(self._waiting_cancelled)
        if self.settled:
            done.callback(None)
        else:
            self._waiting.append(done)
        return done

    def _waiting_cancelled(self, deferred: Deferred[None]) -> None:
        if deferred in self._waiting:
            self._waiting.remove(deferred)

    def _session(self, state: State) -> None:
        if state is State.CONNECTED:
            self._pause = _PAUSE_FIRST
            if self._pass is not None:
                self._again = True
            else:
                self._schedule(0.0)
        elif state is not State.CONNECTING:
            self.settled = False  # the session is gone, and with it what it held

    def _next_pause(self) -> float:
        """Seconds until the next pass may begin."""
        quiet = self._clock.seconds() - self._ended_at
        if quiet > _QUIET * self._pause:
            self._pause = _PAUSE_FIRST
            return 0.0
        pause = self._pause
        self._pause = min(self._pause * 2, _PAUSE_MOST)
        return pause

    def _schedule(self, delay: float, *, auditing: bool = False) -> None:
        self._cancel_timer()
        self._auditing = auditing
        self._timer = self._clock.callLater(delay, self._go)

    def _go(self) -> None:
        self._timer = None
        if not self._client.connected or self._pass is not None:
            return
        self._again = False
        self._pass = current = Deferred.fromCoroutine(self._make_it_so())
        current.addCallbacks(self._succeeded, self._failed)
        current.addBoth(self._ended)

    def _succeeded(self, _: None) -> None:
        self._complaint = ""
        if self._again or not self._running:
            return
        self.settled = True
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def _failed(self, failure: Failure) -> None:
        self.settled = False
        if not self._running or not self._client.connected:
            return  # ended on purpose, or CONNECTED will come
        self._again = True
        if is_connection_exception(failure.value):
            return  # lost this moment: the client says so itself
        if not failure.check(ZookeeperError):
            _log.failure("cannot {what}; trying on", failure=failure, what=self._what)
        elif str(failure.value) != self._complaint:
            self._complaint = str(failure.value)
            _log.warn("cannot {what}: {reason}; trying on", what=self._what, reason=self._complaint)

    def _ended(self, _: object) -> None:
        self._pass = None
        self._ended_at = self._clock.seconds()
        if not self._running:
            return
        if self._again:
            self._schedule(self._next_pause())
        else:
            self._schedule(self._audit * random.uniform(0.8, 1.2), auditing=True)

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
