"""Stages run in order, wait where one waits, and cost nothing where there is none."""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import ContextVar
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from slacker.interceptors import Call, Interceptor
from slacker.interceptors.stages import Stages, backward, drive, forward


class Noting(Interceptor):
    """Notes what runs."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes

    def pre(self, call: Call) -> None:
        self.notes.append(f"pre {self.name}")

    def before(self, call: Call) -> None:
        self.notes.append(f"before {self.name}")

    async def after(self, call: Call) -> None:
        self.notes.append(f"after {self.name}")

    def post(self, call: Call) -> Deferred[None]:
        self.notes.append(f"post {self.name}")
        return succeed(None)


class StagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.notes: list[str] = []
        self.stages = Stages([Noting("a", self.notes), Interceptor(), Noting("b", self.notes)])
        self.call = Call("n", "f")

    def finish(self, later: Any) -> None:
        """What a run has left, which waits for nothing here."""

        async def rest() -> None:
            if later is not None:
                await later

        self.assertIsNone(drive(rest()))

    def run_all(self) -> None:
        self.finish(forward(self.stages.pre, self.call))
        self.finish(forward(self.stages.before, self.call))
        self.finish(backward(self.stages.after, self.call))
        self.finish(backward(self.stages.post, self.call))

    def test_they_run_in_order_on_the_way_there_and_in_reverse_on_the_way_back(self) -> None:
        self.run_all()
        expected = "pre a, pre b, before a, before b, after b, after a, post b, post a"
        self.assertEqual(", ".join(self.notes), expected)

    def test_an_interceptor_without_stages_is_none(self) -> None:
        self.assertFalse(Stages([Interceptor()]))
        self.assertTrue(self.stages)

    def test_a_call_that_ends_early_skips_the_stages_after_it(self) -> None:
        class Ends(Interceptor):
            def pre(self, call: Call) -> None:
                call.end("early")

        stages = Stages([Ends(), Noting("b", self.notes)])
        self.finish(forward(stages.pre, self.call))
        self.assertEqual((self.notes, self.call.result, self.call.ended), ([], "early", True))

    def test_an_error_on_the_way_back_becomes_the_calls_error_and_the_others_still_run(self) -> None:
        class Fails(Interceptor):
            def after(self, call: Call) -> None:
                raise ValueError("no")

        stages = Stages([Noting("a", self.notes), Fails()])
        self.finish(backward(stages.after, self.call))
        self.assertIsInstance(self.call.error, ValueError)
        self.assertEqual(self.notes, ["after a"])

    def test_so_does_one_that_is_no_mere_exception(self) -> None:
        class Exits(Interceptor):
            def after(self, call: Call) -> None:
                raise SystemExit

            async def post(self, call: Call) -> None:
                raise asyncio.CancelledError

        stages = Stages([Noting("a", self.notes), Exits()])
        self.finish(backward(stages.after, self.call))
        self.assertIsInstance(self.call.error, SystemExit)
        self.finish(backward(stages.post, self.call))
        self.assertIsInstance(self.call.error, asyncio.CancelledError)
        self.assertEqual(self.notes, ["after a", "post a"])

    def test_what_nobody_drives_any_more_runs_no_stages(self) -> None:
        class Waits(Interceptor):
            def after(self, call: Call) -> Deferred[None]:
                return Deferred()

        async def rest() -> None:
            later = backward(Stages([Noting("a", self.notes), Waits()]).after, self.call)
            assert later is not None
            await later

        dropped = rest()
        dropped.send(None)
        dropped.close()
        self.assertEqual((self.notes, self.call.error), ([], None))

    def test_one_that_does_not_wait_leaves_nothing_to_be_awaited(self) -> None:
        stages = Stages([Noting("a", self.notes), Noting("b", self.notes)])
        self.assertIsNone(forward(stages.pre, self.call))
        self.assertEqual(self.notes, ["pre a", "pre b"])
        self.assertIsNone(backward(None, self.call))

    def test_one_that_waits_may_end_the_call_or_fail(self) -> None:
        class Steps(Interceptor):
            async def pre(self, call: Call) -> None:
                pass

        class Ends(Interceptor):
            async def pre(self, call: Call) -> None:
                call.end("early")

            async def after(self, call: Call) -> None:
                raise ValueError("no")

        stages = Stages([Noting("a", self.notes), Steps(), Ends(), Noting("b", self.notes)])
        self.finish(forward(stages.pre, self.call))
        self.assertEqual((self.notes, self.call.result), (["pre a"], "early"))
        self.finish(backward(stages.after, self.call))
        self.assertIsInstance(self.call.error, ValueError)
        self.assertEqual(self.notes, ["pre a", "after b", "after a"])


class DriveTests(SynchronousTestCase):
    """A coroutine that never waits is as good as a function."""

    def test_what_never_waits_returns_at_once(self) -> None:
        async def quick() -> int:
            return await succeed(1) + 1 if False else 2

        self.assertEqual(drive(quick()), 2)

    def test_what_never_waits_raises_at_once(self) -> None:
        async def wrong() -> None:
            raise ValueError

        self.assertRaises(ValueError, drive, wrong())

    def test_what_waits_returns_a_deferred(self) -> None:
        first: Deferred[int] = Deferred()
        second: Deferred[int] = Deferred()

        async def slow() -> int:
            return await first + await second

        outcome = drive(slow())
        first.callback(1)
        self.assertNoResult(outcome)
        second.callback(2)
        self.assertEqual(self.successResultOf(outcome), 3)

    def test_failures_are_raised_where_it_waits_and_come_out_of_it(self) -> None:
        first: Deferred[int] = Deferred()

        async def slow() -> int:
            try:
                return await first
            except KeyError:
                raise ValueError("mended") from None

        outcome = drive(slow())
        first.errback(KeyError())
        self.failureResultOf(outcome, ValueError)

    def test_cancelling_cancels_what_it_waits_for(self) -> None:
        first: Deferred[int] = Deferred()

        async def slow() -> str:
            try:
                await first
            except CancelledError:
                return "cancelled"
            return "not"

        outcome = drive(slow())
        outcome.cancel()
        self.assertEqual(self.successResultOf(outcome), "cancelled")

    def test_what_waits_again_after_that_has_not_ended(self) -> None:
        first: Deferred[None] = Deferred()
        second: Deferred[str] = Deferred()

        async def stubborn() -> str:
            with contextlib.suppress(CancelledError):
                await first
            return await second

        outcome = drive(stubborn())
        outcome.cancel()
        self.assertNoResult(outcome)
        second.callback("after all")
        self.assertEqual(self.successResultOf(outcome), "after all")
        outcome.cancel()

    def test_it_can_be_cancelled_again_then(self) -> None:
        async def stubborn() -> None:
            try:
                await Deferred()
            finally:
                await Deferred()

        outcome = drive(stubborn())
        outcome.cancel()
        self.assertNoResult(outcome)
        outcome.cancel()
        self.failureResultOf(outcome, CancelledError)

    def test_what_waits_for_anything_but_a_deferred_hears_so_there(self) -> None:
        class Foreign:
            def __await__(self) -> Any:
                yield "a future of another kind"

        async def confused(first: Any) -> str:
            await first
            try:
                await Foreign()
            except TypeError as error:
                return str(error)
            return "it went on"

        async def only_once() -> str:
            return await confused(Foreign())

        first: Deferred[None] = Deferred()
        later = drive(confused(first))
        first.callback(None)
        self.assertIn("a future of another kind", self.successResultOf(later))
        self.failureResultOf(drive(only_once()), TypeError)

    def test_it_goes_on_in_the_context_in_which_it_began(self) -> None:
        variable: ContextVar[str] = ContextVar("variable", default="outside")
        first: Deferred[Any] = Deferred()

        async def slow() -> str:
            await first
            return variable.get()

        token = variable.set("inside")
        outcome = drive(slow())
        variable.reset(token)
        first.callback(None)
        self.assertEqual(self.successResultOf(outcome), "inside")
