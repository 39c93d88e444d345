"""The table of calls that wait, by the clock."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from slacker.client.pending import PendingCall, PendingCalls


class CountingClock(Clock):
    """Counts the timers that are set."""

    def __init__(self) -> None:
        super().__init__()
        self.timers = 0

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        self.timers += 1
        return super().callLater(delay, callable, *args, **kw)


class DeadlineTests(SynchronousTestCase):
    def test_a_thousand_deadlines_in_a_tenth_of_a_second_cost_a_dozen_timers(self) -> None:
        """Those that lie closer together than 10 ms are seen to together, none of them early."""
        clock = CountingClock()
        expired: dict[PendingCall, float] = {}

        def note(call: PendingCall) -> None:
            expired[call] = clock.seconds()

        pending = PendingCalls(clock, note)
        calls = [PendingCall() for _ in range(1000)]
        for number, call in enumerate(calls):
            pending.add(call, 1 + number / 10_000)
        self.assertEqual(clock.timers, 1)
        clock.advance(0.99)
        for _ in range(2500):
            clock.advance(0.0001)
        self.assertEqual([*expired], calls)
        for call, when in expired.items():
            self.assertTrue(call.deadline <= when <= call.deadline + 0.0102, when - call.deadline)
        self.assertLessEqual(clock.timers, 12)
        self.assertEqual(clock.getDelayedCalls(), [])
