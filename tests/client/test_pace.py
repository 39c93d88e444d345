"""Turns: ten at once, ten more every 20 milliseconds, in the order in which they were asked for."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from slacker.client.pace import Pace


class PaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.pace = Pace(self.clock)
        self.had: list[int] = []
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def ask(self, *numbers: int) -> list[Deferred[None]]:
        """Ask for turns, which are noted by these numbers."""
        return [self.pace.turn().addCallback(self._note, number) for number in numbers]

    def _note(self, _: None, number: int) -> None:
        self.had.append(number)

    def test_the_first_ten_need_not_wait(self) -> None:
        self.ask(*range(10))
        self.assertEqual(self.had, [*range(10)])

    def test_the_others_wait_in_line(self) -> None:
        self.ask(*range(25))
        self.clock.advance(0.019)
        self.assertEqual(self.had, [*range(10)])
        self.clock.advance(0.001)
        self.assertEqual(self.had, [*range(20)])
        self.clock.advance(0.02)
        self.assertEqual(self.had, [*range(25)])

    def test_who_comes_later_stands_behind_those_that_wait(self) -> None:
        self.ask(*range(11))
        self.clock.advance(0.02)
        self.ask(*range(11, 21))
        self.assertEqual(self.had, [*range(20)])
        self.clock.advance(0.02)
        self.assertEqual(self.had, [*range(21)])

    def test_after_a_while_there_are_ten_again(self) -> None:
        self.ask(*range(10))
        self.clock.advance(0.02)
        self.ask(*range(10, 20))
        self.assertEqual(self.had, [*range(20)])

    def test_who_asks_for_the_next_turn_in_the_last_does_not_hasten_the_pace(self) -> None:
        def again(_: None) -> None:
            self.had.append(len(self.had))
            self.waiting = self.pace.turn()
            self.waiting.addCallback(again)

        again(None)
        for rounds in range(1, 7):
            self.assertEqual(len(self.had), 1 + 10 * rounds)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.advance(0.02)
        self.waiting.cancel()
        self.failureResultOf(self.waiting, CancelledError)

    def test_who_gives_up_leaves_the_place_to_the_next(self) -> None:
        turns = self.ask(*range(25))
        turns[12].cancel()
        self.failureResultOf(turns[12], CancelledError)
        self.clock.advance(0.02)
        self.assertEqual(self.had, [*range(12), *range(13, 21)])
        self.clock.advance(0.02)

    def test_a_line_that_everybody_left_needs_no_timer(self) -> None:
        for turn in self.ask(*range(12))[10:]:
            turn.cancel()
            self.failureResultOf(turn, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
