"""Calls whose stages take their time, and calls with stages that do what they should not."""

from __future__ import annotations

import contextlib
import sys
from contextvars import ContextVar
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.protocol import Factory, Protocol

from slacker.errors import BacklogOverflow, CallTimeout, ContentError, NotSent
from slacker.interceptors import Call, CallStatistics, Interceptor
from slacker.wire import Interrupt, Request, Response
from tests.client.test_client import ADDRESS, CLJ, ClientTestCase


class Waits(Interceptor):
    """Waits in one stage for a Deferred of the test, and notes what becomes of the call."""

    def __init__(self, stage: str) -> None:
        self.waiting: Deferred[Any] = Deferred()
        self.errors: list[Any] = []
        setattr(self, stage, lambda call: self.waiting)

    def post(self, call: Call) -> None:
        self.errors.append(call.error)


class WaitingTests(ClientTestCase):
    """Calls whose stages take their time."""

    def answer(self, server: Any) -> None:
        self.network.flush()
        [request] = server.received()
        server.say(Response(request.tid, CLJ, 0, b'"x"'))
        self.network.flush()

    def test_a_call_goes_on_after_each_stage_that_waits(self) -> None:
        for stage in ("pre", "before", "after", "post"):
            waits = Waits(stage)
            client, server = self.greeted(interceptors=[waits])
            call = client.call("n", "f", [1])
            if stage in {"after", "post"}:
                self.answer(server)
            self.network.flush()
            self.assertEqual(server.received(), [])
            self.assertNoResult(call)
            waits.waiting.callback(None)
            if stage in {"pre", "before"}:
                self.answer(server)
            self.assertEqual(self.successResultOf(call), "x")

    def test_one_that_is_cancelled_meanwhile_passes_the_stages_after_that(self) -> None:
        for stage in ("pre", "before", "after"):
            waits = Waits(stage)
            client, server = self.greeted(interceptors=[waits])
            call = client.call("n", "f")
            if stage == "after":
                self.answer(server)
            call.cancel()
            self.failure(call, CancelledError)
            self.assertIsInstance(waits.errors[0], CancelledError)
            self.assertEqual((server.received(), client.in_flight), ([], 0))

    def test_the_time_that_stages_take_is_the_calls_own(self) -> None:
        waits = Waits("before")
        client, _ = self.greeted(interceptors=[waits])
        call = client.call("n", "f", timeout=3.0)
        self.network.advance(2)
        waits.waiting.callback(None)
        self.network.advance(1)
        self.failure(call, CallTimeout)

    def test_a_stage_may_leave_the_call_less_time(self) -> None:
        class Hurries(Interceptor):
            def pre(self, call: Call) -> None:
                call.timeout = 1.0

        client, _ = self.greeted(interceptors=[Hurries()])
        call = client.call("n", "f", timeout=3.0)
        self.network.advance(1)
        self.failure(call, CallTimeout)

    def test_a_place_among_the_pending_calls_may_be_gone_meanwhile(self) -> None:
        waits = Waits("before")
        client, _ = self.greeted(interceptors=[waits], backlog=1)
        late = client.call("n", "f")
        waits.waiting, waiting = succeed(None), waits.waiting
        client.call("n", "f").addErrback(lambda _: None)
        waiting.callback(None)
        self.failure(late, BacklogOverflow)

    def test_a_connection_that_breaks_meanwhile_is_not_used(self) -> None:
        waits = Waits("before")
        client, _ = self.greeted(interceptors=[waits])
        call = client.call("n", "f")
        self.network.cut(ADDRESS)
        waits.waiting.callback(None)
        self.assertIn("just broken", str(self.failure(call, NotSent)))

    def test_a_call_waits_for_the_connection_between_its_stages(self) -> None:
        self.network.serve(ADDRESS, [{"n": {"f": lambda: "x"}}])
        seen: list[Any] = []

        class Looks(Interceptor):
            def pre(self, call: Call) -> None:
                seen.append(call.content_type)

            def before(self, call: Call) -> None:
                seen.append(call.content_type)

        call = self.client(interceptors=[Looks()]).call("n", "f")
        self.assertEqual(seen, [""])
        self.assertEqual(self.result(call), "x")
        self.assertEqual(seen, ["", "msgpack"])

    def test_stages_on_the_way_back_run_in_the_callers_context(self) -> None:
        variable: ContextVar[str] = ContextVar("variable", default="outside")
        seen: list[str] = []

        class Looks(Interceptor):
            def after(self, call: Call) -> None:
                seen.append(variable.get())

            def post(self, call: Call) -> None:
                seen.append(variable.get())

        client, server = self.greeted(interceptors=[Looks()])
        token = variable.set("inside")
        call = client.call("n", "f")
        variable.reset(token)
        self.answer(server)
        self.assertEqual((self.successResultOf(call), seen), ("x", ["inside"] * 2))


class Stubborn(Waits):
    """Goes on waiting in ``before`` when its time is over."""

    def __init__(self) -> None:
        super().__init__("none")
        self.again: Deferred[None] = Deferred()

    async def before(self, call: Call) -> None:
        with contextlib.suppress(NotSent):
            await self.waiting
        await self.again


class TimeoutTests(ClientTestCase):
    """A call ends in time, whatever its stages wait for."""

    def wait_in(self, stage: str) -> tuple[Waits, Deferred[Any], Any]:
        """A call with a timeout of 3 seconds that waits in this stage."""
        waits = Waits(stage)
        client, server = self.greeted(interceptors=[waits])
        call = client.call("n", "f", timeout=3.0)
        self.network.flush()
        for request in server.received():
            server.say(Response(request.tid, CLJ, 0, b'"x"'))
        self.network.advance(2.9)
        self.assertNoResult(call)
        return waits, call, server

    def test_a_stage_that_waits_for_too_long_is_cancelled(self) -> None:
        not_sent = f"n/f was not sent to {ADDRESS}: its interceptors had not ended within 3.0 s"
        sent = f"n/f was sent to {ADDRESS}, and its interceptors had not ended within 3.0 s"
        cases: list[tuple[str, type[Exception], str]] = [
            ("pre", NotSent, not_sent),
            ("before", NotSent, not_sent),
            ("after", CallTimeout, sent),
            ("post", CallTimeout, sent),
        ]
        for stage, kind, text in cases:
            waits, call, server = self.wait_in(stage)
            self.network.advance(0.2)
            error = self.failure(call, kind)
            self.assertEqual(str(error), text)
            self.assertTrue(waits.waiting.called)
            self.assertEqual(waits.errors, [] if stage == "post" else [error])
            self.assertEqual((server.received(), self.clients[-1].in_flight), ([], 0))

    def test_one_that_goes_on_all_the_same_is_not_waited_for_and_sends_nothing(self) -> None:
        stubborn = Stubborn()
        client, server = self.greeted(interceptors=[stubborn])
        call = client.call("n", "f", timeout=3.0)
        self.network.advance(3)
        error = self.failure(call, NotSent)
        self.assertEqual(stubborn.errors, [])
        stubborn.again.callback(None)
        self.network.flush()
        self.assertEqual((stubborn.errors, server.received()), ([error], []))

    def test_a_stage_after_that_may_take_its_time_but_the_callers_is_over(self) -> None:
        noted: Deferred[None] = Deferred()
        seen: list[Any] = []

        class Notes(Interceptor):
            async def post(self, call: Call) -> None:
                await noted
                seen.append(call.error)

        for stage in (None, "before"):
            interceptors = [Notes()] if stage is None else [Notes(), Waits(stage)]
            noted = Deferred()
            client, _ = self.greeted(interceptors=interceptors)
            call = client.call("n", "f", timeout=3.0)
            self.network.advance(3)
            error = self.failure(call, CallTimeout if stage is None else NotSent)
            self.assertEqual(seen, [])
            noted.callback(None)
            self.assertEqual(seen.pop(), error)

    def test_who_cancels_after_that_cancels_what_was_done_about_it(self) -> None:
        stubborn = Stubborn()
        client, _ = self.greeted(interceptors=[stubborn])
        instead: Deferred[Any] = Deferred()
        call = client.call("n", "f", timeout=3.0).addErrback(lambda _: instead)
        self.network.advance(3)
        call.cancel()
        self.assertTrue(instead.called)
        self.failure(call, CancelledError)
        stubborn.again.callback(None)

    def test_time_that_a_stage_blocked_the_reactor_counts_too(self) -> None:
        class Blocks(Waits):
            def pre(stage, call: Call) -> None:
                self.network.reactor.rightNow += 3

        blocks = Blocks("before")
        client, server = self.greeted(interceptors=[blocks])
        call = client.call("n", "f", timeout=3.0)
        error = self.failure(call, NotSent)
        blocks.waiting.callback(None)
        self.network.flush()
        self.assertEqual((blocks.errors, server.received()), ([error], []))

    def test_a_stage_may_leave_those_after_it_less_time(self) -> None:
        class Hurries(Waits):
            async def pre(self, call: Call) -> None:
                await self.waiting
                call.timeout = 1.0

        hurries = Hurries("before")
        client, _ = self.greeted(interceptors=[hurries])
        call = client.call("n", "f", timeout=9.0)
        hurries.waiting, waiting = Deferred(), hurries.waiting
        waiting.callback(None)
        self.network.advance(1)
        self.assertIn("within 1.0 s", str(self.failure(call, NotSent)))

    def test_one_that_no_connection_comes_for_says_so(self) -> None:
        waits = Waits("pre")
        self.network.listen(ADDRESS, Factory.forProtocol(Protocol))
        call = self.client(interceptors=[waits]).call("n", "f", timeout=1.0)
        self.network.advance(0.5)
        waits.waiting.callback(None)
        self.network.advance(0.5)
        self.assertIn("no connection within", str(self.failure(call, NotSent)))

    def test_the_time_for_an_answer_is_that_of_any_call(self) -> None:
        waits = Waits("before")
        client, server = self.greeted("txslacker/1", interceptors=[waits])
        call = client.call("n", "f", timeout=3.0, interrupt_on_timeout=True)
        self.network.advance(1)
        waits.waiting.callback(None)
        self.network.advance(2)
        self.assertIn("did not answer n/f", str(self.failure(call, CallTimeout)))
        self.assertEqual([type(frame) for frame in server.received()], [Request, Interrupt])

    def test_a_call_whose_stages_do_not_wait_sets_no_timer(self) -> None:
        class Looks(Interceptor):
            def pre(self, call: Call) -> None:
                pass

        for interceptors in ([], [Looks()]):
            client, server = self.greeted(interceptors=interceptors)
            before = len(self.network.reactor.getDelayedCalls())
            call = client.call("n", "f")
            self.assertEqual(len(self.network.reactor.getDelayedCalls()), before + 1)  # the table's
            self.network.flush()
            [request] = server.received()
            server.say(Response(request.tid, CLJ, 0, b"1"))
            self.assertEqual(self.result(call), 1)


class OddStageTests(ClientTestCase):
    """What stages should not do harms their own call at the most."""

    def ask(self, *interceptors: Interceptor, **options: Any) -> Deferred[Any]:
        client, server = self.greeted(interceptors=interceptors, **options)
        self.asked = client.call("n", "f", [1])
        self.network.flush()
        for request in server.received():
            assert isinstance(request, Request)
            server.say(Response(request.tid, CLJ, 0, b'"x"'))
        self.network.flush()
        self.assertTrue(client.connected)
        self.assertEqual(client.in_flight, 0)
        return self.asked

    def test_one_raises_what_is_no_mere_exception(self) -> None:
        class Exits(Interceptor):
            def __init__(self, stage: str) -> None:
                setattr(self, stage, lambda call: sys.exit(1))

        for stage in ("pre", "before", "after", "post"):
            statistics = CallStatistics()
            self.failureResultOf(self.ask(statistics, Exits(stage)), SystemExit)
            self.assertEqual([counted.in_flight for counted in statistics.functions.values()], [0])

    def test_one_makes_data_of_the_wrong_type(self) -> None:
        class Text(Interceptor):
            def before(self, call: Call) -> None:
                call.data = "text"  # type: ignore[assignment]

        self.failure(self.ask(Text()), TypeError)

    def test_one_makes_too_much_data(self) -> None:
        class Much(Interceptor):
            def before(self, call: Call) -> None:
                call.data = b"x" * 65

        self.failure(self.ask(Much(), max_frame=64), ContentError)

    def test_one_waits_for_what_is_no_deferred(self) -> None:
        class Foreign(Interceptor):
            def __await__(self) -> Any:
                yield "not a Deferred"

            def pre(self, call: Call) -> Any:
                return self

        self.failure(self.ask(Foreign()), AttributeError)

    def test_one_cancels_the_call_that_it_is_a_stage_of(self) -> None:
        class Cancels(Interceptor):
            def after(stage, call: Call) -> None:
                self.asked.cancel()

        class CancelsAndRaises(Interceptor):
            def after(stage, call: Call) -> None:
                self.asked.cancel()

            def post(stage, call: Call) -> None:
                raise ValueError("nobody hears it")

        self.failure(self.ask(Cancels()), CancelledError)
        self.failure(self.ask(CancelsAndRaises()), CancelledError)

    def test_one_gives_a_deferred_as_the_result(self) -> None:
        class Ends(Interceptor):
            def __init__(self, result: Deferred[Any]) -> None:
                self.result = result

            def pre(self, call: Call) -> None:
                call.end(self.result)

        later: Deferred[Any] = Deferred()
        call = self.ask(Ends(later))
        self.assertNoResult(call)
        later.callback("x")
        self.assertEqual(self.result(call), "x")
        call = self.ask(Ends(Deferred()))
        call.cancel()
        self.failure(call, CancelledError)
