"""The interceptors that come along: slow calls, arguments of failed calls, statistics, deadlines."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, Logger
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from slacker.errors import Canceled
from slacker.interceptors import Call, CallStatistics, Deadline, FailedArguments, Interceptor, SlowCalls
from slacker.interceptors.context import incoming


@implementer(ILogObserver)
class Lines:
    """Stands for a log, and keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: Any) -> None:
        self.lines.append(event["log_format"].format(**event))


class ShippedTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def log(self, interceptor: Interceptor) -> list[str]:
        """Where the interceptor's lines go from now on."""
        lines = Lines()
        self.patch(type(interceptor), "log", Logger(observer=lines))
        return lines.lines


class SlowCallsTests(ShippedTestCase):
    def test_a_call_over_the_threshold_gets_a_line_with_its_seconds(self) -> None:
        slow = SlowCalls(1.0, seconds=self.clock.seconds)
        lines = self.log(slow)
        for seconds in (1.0, 1.5):
            call = Call("n", "f", peer="10.0.0.1:1")
            slow.pre(call)
            self.clock.advance(seconds)
            slow.post(call)
        self.assertEqual(lines, ["'n/f' took 1.500 s (10.0.0.1:1)"])

    def test_a_call_that_ended_before_its_turn_gets_none(self) -> None:
        slow = SlowCalls(0.0, seconds=self.clock.seconds)
        lines = self.log(slow)
        slow.post(Call("n", "f"))
        self.assertEqual(lines, [])


class FailedArgumentsTests(ShippedTestCase):
    def test_a_failed_call_gets_a_line_with_its_arguments(self) -> None:
        interceptor = FailedArguments()
        lines = self.log(interceptor)
        interceptor.post(Call("n", "f", args=[1]))
        interceptor.post(Call("n", "f", args=[1, "a\nb"], error=ValueError("no")))
        self.assertEqual(lines, ["'n/f' failed with arguments [1, 'a\\nb']: 'no'"])

    def test_long_arguments_are_cut(self) -> None:
        interceptor = FailedArguments()
        lines = self.log(interceptor)
        interceptor.post(Call("n", "f", args=["x" * 5000], error=ValueError("no")))
        self.assertLess(len(lines[0]), 1200)
        self.assertIn("(5,004 characters)", lines[0])


class CallStatisticsTests(ShippedTestCase):
    def test_calls_errors_and_seconds_are_counted_by_function(self) -> None:
        statistics = CallStatistics(seconds=self.clock.seconds)
        first, second = Call("n", "f"), Call("n", "f", error=ValueError())
        statistics.pre(first)
        statistics.pre(second)
        self.assertEqual(statistics.functions["n/f"].in_flight, 2)
        self.clock.advance(1)
        statistics.post(first)
        self.clock.advance(2)
        statistics.post(second)
        counted = statistics.functions["n/f"]
        self.assertEqual((counted.calls, counted.errors, counted.in_flight), (2, 1, 0))
        self.assertEqual((counted.seconds, counted.longest), (4.0, 3.0))

    def test_a_call_that_ended_before_its_turn_is_not_counted(self) -> None:
        statistics = CallStatistics()
        statistics.post(Call("n", "f"))
        self.assertEqual(statistics.functions, {})

    def test_names_that_somebody_makes_up_do_not_fill_the_memory(self) -> None:
        statistics = CallStatistics()
        for number in range(10_005):
            statistics.pre(Call("n", str(number)))
        self.assertEqual(len(statistics.functions), 10_001)
        self.assertEqual(statistics.functions["(others)"].calls, 5)


class Inside:
    """Stands for the call that a server runs."""

    extensions: dict[int, Any] = {}

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline


class DeadlineTests(ShippedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock.advance(1000)
        self.deadline = Deadline(seconds=self.clock.seconds)

    def received(self, extensions: dict[int, Any], **options: Any) -> Call:
        call = Call("n", "f", extensions=extensions)
        Deadline(seconds=self.clock.seconds, **options).pre(call)
        return call

    def test_a_client_sends_what_is_left_and_when_it_is_over(self) -> None:
        call = Call("n", "f", timeout=2.5)
        self.deadline.pre(call)
        self.assertEqual(call.extensions, {-2: 2500, -1: 1_002_500})

    def test_the_id_of_the_absolute_deadline_can_be_chosen_or_left_out(self) -> None:
        for absolute, expected in [(7, {-2: 2500, 7: 1_002_500}), (None, {-2: 2500})]:
            call = Call("n", "f", timeout=2.5)
            Deadline(absolute, seconds=self.clock.seconds).pre(call)
            self.assertEqual(call.extensions, expected)
        self.assertEqual(self.received({7: 1_001_000}, absolute=7).deadline, 1001.0)
        self.assertIsNone(self.received({-1: 1_001_000}, absolute=None).deadline)

    def test_a_call_made_inside_another_has_no_more_time_than_that_one(self) -> None:
        token = incoming.set(Inside(deadline=1001.0))
        self.addCleanup(incoming.reset, token)
        call = Call("n", "f", timeout=10.0)
        self.deadline.pre(call)
        self.assertEqual((call.timeout, call.extensions[-2]), (1.0, 1000))
        self.clock.advance(1)
        self.assertRaises(Canceled, self.deadline.pre, Call("n", "f", timeout=10.0))

    def test_a_call_inside_one_without_a_deadline_has_its_own_time(self) -> None:
        token = incoming.set(Inside(deadline=None))
        self.addCleanup(incoming.reset, token)
        call = Call("n", "f", timeout=10.0)
        self.deadline.pre(call)
        self.assertEqual(call.timeout, 10.0)

    def test_a_server_prefers_what_is_left_to_the_other_clock(self) -> None:
        self.assertEqual(self.received({-2: 500, -1: 5_000_000}).deadline, 1000.5)
        self.assertEqual(self.received({-1: 1_003_000}).deadline, 1003.0)
        self.assertIsNone(self.received({}).deadline)

    def test_what_is_no_time_counts_as_not_there(self) -> None:
        for nonsense in ("soon", None, 10**400, -(10**400), float("nan")):
            self.assertIsNone(self.received({-2: nonsense, -1: nonsense}).deadline)
            self.assertEqual(self.received({-2: nonsense, -1: 1_003_000}).deadline, 1003.0)
            self.assertEqual(self.received({-2: 500, -1: nonsense}).deadline, 1000.5)

    def test_a_call_that_comes_too_late_is_canceled(self) -> None:
        for extensions in [{-2: 0}, {-2: -5}, {-1: 999_999}]:
            self.assertRaises(Canceled, self.received, extensions)
