"""A line in the log for each call that took long."""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.logger import Logger

from slacker.interceptors.call import Call, Interceptor


class SlowCalls(Interceptor):
    """Logs every call that took longer than ``threshold`` seconds, from the first stage to the last."""

    log = Logger()

    def __init__(self, threshold: float = 1.0, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._threshold = threshold
        self._seconds = seconds

    def pre(self, call: Call) -> None:
        call.state[self] = self._seconds()

    def post(self, call: Call) -> None:
        took = self._seconds() - call.state.get(self, self._seconds())
        if took > self._threshold:
            self.log.warn(
                "{function!r} took {took:.3f} s ({peer})", function=call.name, took=took, peer=call.peer
            )
