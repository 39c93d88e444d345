"""How often each function was called, how long it took, and how often it failed."""

from __future__ import annotations

import time
from collections.abc import Callable

from attrs import define

from slacker.interceptors.call import Call, Interceptor

_MOST_FUNCTIONS = 10_000  # that are told apart; names beyond them, which somebody makes up, count as one
_OTHERS = "(others)"


@define
class FunctionStatistics:
    """Of one function. Seconds are those of all calls that ended, from the first stage to the last."""

    calls: int = 0
    errors: int = 0
    in_flight: int = 0
    seconds: float = 0.0
    longest: float = 0.0


class CallStatistics(Interceptor):
    """Counts calls. ``statistics.functions["namespace/function"]`` tells of each."""

    def __init__(self, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self.functions: dict[str, FunctionStatistics] = {}
        self._seconds = seconds

    def pre(self, call: Call) -> None:
        name = call.name
        if name not in self.functions and len(self.functions) >= _MOST_FUNCTIONS:
            name = _OTHERS
        counted = self.functions.setdefault(name, FunctionStatistics())
        counted.calls += 1
        counted.in_flight += 1
        call.state[self] = (counted, self._seconds())

    def post(self, call: Call) -> None:
        if self not in call.state:
            return  # an interceptor before this one ended the call
        counted, began = call.state[self]
        took = self._seconds() - began
        counted.in_flight -= 1
        counted.errors += call.error is not None
        counted.seconds += took
        counted.longest = max(counted.longest, took)
