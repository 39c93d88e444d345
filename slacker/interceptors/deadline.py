"""Deadlines that travel with calls: what nobody waits for any more is not run."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import isnan

from slacker.errors import Canceled
from slacker.interceptors.call import Call, Interceptor
from slacker.interceptors.context import REMAINING, incoming

#: Upstream's extension: an absolute deadline in milliseconds since the epoch.
ABSOLUTE = -1


class Deadline(Interceptor):
    """Tells servers until when a call is waited for, and keeps them from running it later.

    Give it to clients and to servers. A client sends the time that a call has left, in milliseconds
    (extension -2, which needs no clocks that agree), and upstream's absolute deadline (extension -1). A call
    made inside another one has no more time than that one has left. A server ends a call whose time is over
    as ``canceled``: when it comes, and again when a worker thread takes it up.

    :param absolute: id of the extension with the absolute deadline; None sends and reads none.
    """

    def __init__(self, absolute: int | None = ABSOLUTE, *, seconds: Callable[[], float] = time.time) -> None:
        self._absolute = absolute
        self._seconds = seconds

    def pre(self, call: Call) -> None:
        """On either side: a call with a timeout is one that this process makes."""
        if call.timeout is not None:
            self._send(call, call.timeout)
        else:
            self._receive(call)

    def _send(self, call: Call, timeout: float) -> None:
        now = self._seconds()
        inside = incoming.get()
        if inside is not None and inside.deadline is not None:
            timeout = min(timeout, inside.deadline - now)
            if timeout <= 0:
                raise Canceled(
                    f"{call.name} was not sent: the call inside which it was made is past its deadline",
                    function=call.name,
                )
        call.timeout = timeout
        call.deadline = now + timeout
        call.extensions[REMAINING] = int(timeout * 1000)
        if self._absolute is not None:
            call.extensions[self._absolute] = int(call.deadline * 1000)

    def _receive(self, call: Call) -> None:
        now = self._seconds()
        remaining = _seconds(call.extensions.get(REMAINING))
        if remaining is not None:  # it does not depend on two machines' clocks
            call.deadline = now + remaining
        elif self._absolute is not None:
            absolute = _seconds(call.extensions.get(self._absolute))
            call.deadline = call.deadline if absolute is None else absolute
        if call.deadline is not None and call.deadline <= now:
            raise Canceled(f"{call.name} came after its deadline", function=call.name)


def _seconds(milliseconds: object) -> float | None:
    """What a peer sent as milliseconds; None if it is no time."""
    if not isinstance(milliseconds, (int, float)):
        return None
    try:
        seconds = milliseconds / 1000
    except OverflowError:  # more than a float can hold
        return None
    return None if isnan(seconds) else seconds
