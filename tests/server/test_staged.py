"""Calls on a server with interceptors, and what a function knows of its call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Generator, Iterator
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, inlineCallbacks, succeed
from twisted.trial.unittest import SynchronousTestCase

from slacker.content import dumps, loads
from slacker.content.values import Keyword
from slacker.errors import AccessDenied, Canceled, ConfigurationError, FunctionNotFound, NotSent, ServerBusy
from slacker.interceptors import Call, CallStatistics, Deadline, Interceptor, with_extensions
from slacker.interceptors.context import outgoing_extensions
from slacker.server import SlackerServer, current_call, nonblocking
from slacker.server.functions import Exposable
from slacker.server.http import site
from slacker.server.limits import Limits
from slacker.server.workers import PoolStatus
from slacker.testing import Network
from slacker.wire import Error, Frame, Interrupt, Request, Response
from tests.server.http_client import Client
from tests.server.peers import CLJ, Peer


def echo(x: Any) -> Any:
    return x


def fails() -> None:
    raise NotSent("of a call of its own")


class Hostile(list[Any]):
    """A result that raises while it is written."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.error = error

    def __iter__(self) -> Iterator[Any]:
        raise self.error


class Waits(Interceptor):
    """Waits in one stage for a Deferred of the test."""

    def __init__(self, stage: str) -> None:
        self.waiting: Deferred[None] = Deferred()
        setattr(self, stage, lambda call: self.waiting)


class StagedTestCase(SynchronousTestCase):
    def serve(self, *interceptors: Interceptor, exposed: Any = None, **options: Any) -> Peer:
        self.network = Network()
        functions: dict[str, Any] = {"echo": echo, "fails": fails, **(exposed or {})}
        both: list[Exposable] = [{"w": functions}, nonblocking({"r": functions})]
        self.server = self.network.serve("10.0.0.1:2104", both, interceptors=interceptors, **options)
        return Peer(self.server)

    def value(self, frame: Frame) -> Any:
        assert isinstance(frame, Response), frame
        return loads("clj", frame.data)

    def ask(self, peer: Peer, name: str, data: bytes = b"[1]", **more: Any) -> list[Frame]:
        """What functions in workers answer, which is what those on the reactor answer, too."""
        first = peer.ask(Request(1, CLJ, f"w/{name}", data, **more))
        second = peer.ask(Request(1, CLJ, f"r/{name}", data, **more))
        if not (first and isinstance(first[0], Response) and first[0].code == 12):
            self.assertEqual(first, second)
        return first


class InterceptorTests(StagedTestCase):
    def test_each_stage_sees_the_call_as_far_as_it_is(self) -> None:
        seen: list[Any] = []

        class Looks(Interceptor):
            def pre(self, call: Call) -> None:
                seen.append((call.name, call.args, call.data, call.content_type, call.peer))

            def before(self, call: Call) -> None:
                seen.append(call.args)

            def after(self, call: Call) -> None:
                seen.append((call.result, call.answer))

            def post(self, call: Call) -> None:
                seen.append((call.result, call.answer))

        peer = self.serve(Looks())
        self.assertEqual(peer.ask(Request(1, CLJ, "r/echo", b"[7]")), [Response(1, CLJ, 0, b"7")])
        self.assertEqual(seen, [("r/echo", None, b"[7]", "clj", "10.0.0.9:40001"), [7], (7, None), (7, b"7")])

    def test_stages_may_change_function_arguments_result_and_answer(self) -> None:
        class Changes(Interceptor):
            def pre(self, call: Call) -> None:
                call.function = "echo"

            def before(self, call: Call) -> Any:
                call.args = [[*(call.args or ()), 2]]
                return succeed(None)

            async def after(self, call: Call) -> None:
                call.result = [call.result, 3]

            def post(self, call: Call) -> None:
                call.answer = (call.answer or b"") + b" ;"

        self.assertEqual(self.ask(self.serve(Changes()), "nothing"), [Response(1, CLJ, 0, b"[[1 2] 3] ;")])

    def test_a_call_may_end_early_with_a_result(self) -> None:
        class Ends(Interceptor):
            def __init__(self, stage: str) -> None:
                self.stage = stage

            def pre(self, call: Call) -> None:
                if self.stage == "pre":
                    call.end("early")

            def before(self, call: Call) -> None:
                call.end(["early", call.args])

        self.assertEqual(self.value(self.ask(self.serve(Ends("pre")), "none", b"[")[0]), "early")
        self.assertEqual(self.value(self.ask(self.serve(Ends("before")), "none")[0]), ["early", [1]])

    def test_our_errors_from_a_stage_become_the_codes_they_stand_for(self) -> None:
        class Refuses(Interceptor):
            def __init__(self, error: Exception) -> None:
                self.error = error

            def before(self, call: Call) -> None:
                raise self.error

        for error, code in [
            (FunctionNotFound(""), 11),
            (ServerBusy(""), 13),
            (Canceled(""), 14),
            (AccessDenied(""), 22),
        ]:
            self.assertEqual(self.ask(self.serve(Refuses(error)), "echo"), [Error(1, code)])
        [answer] = self.ask(self.serve(Refuses(ValueError("no"))), "echo")
        self.assertEqual(self.value(answer), "ValueError: no")

    def test_our_errors_from_a_function_say_nothing_about_its_own_call(self) -> None:
        peer = self.serve(CallStatistics())
        [answer] = self.ask(peer, "fails", b"")
        assert isinstance(answer, Response)
        self.assertEqual(answer.code, 12)
        self.assertIn("NotSent", self.value(answer))

    def test_an_error_may_be_mended_and_a_result_made_an_error_on_the_way_back(self) -> None:
        class Mends(Interceptor):
            def after(self, call: Call) -> None:
                if call.error is not None:
                    call.error, call.result = None, "mended"
                else:
                    raise ValueError("too good")

        peer = self.serve(Mends())
        self.assertEqual(self.value(self.ask(peer, "fails", b"")[0]), "mended")
        self.assertEqual(self.value(self.ask(peer, "echo")[0]), "ValueError: too good")

    def test_an_error_in_the_last_stage_is_told_too(self) -> None:
        class Fails(Interceptor):
            def post(self, call: Call) -> None:
                raise ValueError("late")

        [answer] = self.ask(self.serve(Fails()), "echo")
        self.assertEqual(self.value(answer), "ValueError: late")

    def test_what_is_wrong_about_a_call_is_answered_as_without_interceptors(self) -> None:
        peer = self.serve(CallStatistics(), exposed={"object": object})
        plain = self.serve(exposed={"object": object})
        for name, data in [
            ("none", b"[1]"),
            ("echo", b"[1"),
            ("echo", b"[1 2]"),
            ("object", b""),
            ("echo", b"nil"),
        ]:
            for namespace in "wr":
                request = Request(1, CLJ, f"{namespace}/{name}", data)
                self.assertEqual(peer.ask(request), plain.ask(request), (name, data))

    def test_a_stage_may_take_its_time_and_the_call_counts_as_running(self) -> None:
        for stage in ("pre", "before", "after", "post"):
            waits = Waits(stage)
            peer = self.serve(waits)
            peer.send(Request(1, CLJ, "r/echo", b"[1]"))
            self.assertEqual((peer.answers(), self.server.calls_running), ([], 1))
            waits.waiting.callback(None)
            peer.pump()
            self.assertEqual(peer.answers(), [Response(1, CLJ, 0, b"1")])
            self.assertEqual(self.server.calls_running, 0)

    def test_a_stage_may_decode_the_arguments_itself(self) -> None:
        class Decodes(Interceptor):
            def pre(self, call: Call) -> None:
                call.args = [2]

        self.assertEqual(self.ask(self.serve(Decodes()), "echo", b"["), [Response(1, CLJ, 0, b"2")])

    def test_functions_may_take_their_time_too(self) -> None:
        waiting: Deferred[Any] = Deferred()
        failing: Deferred[Any] = Deferred()

        async def wait() -> Any:
            return await waiting

        peer = self.serve(CallStatistics(), exposed={"wait": wait, "fail": lambda: failing})
        self.assertEqual(peer.ask(Request(1, CLJ, "r/wait", b""), Request(2, CLJ, "r/fail", b"")), [])
        waiting.callback("x")
        failing.errback(NotSent("of a call of its own"))
        peer.pump()
        first, second = peer.answers()
        self.assertEqual(first, Response(1, CLJ, 0, b'"x"'))
        self.assertIn("NotSent", self.value(second))

    def test_limits_hold(self) -> None:
        peer = self.serve(CallStatistics(), limits=Limits(max_in_flight=1), threads=1, queue_size=0)
        self.server.workers.held = True  # type: ignore[attr-defined]
        self.assertEqual(
            peer.ask(Request(1, CLJ, "w/echo", b"[1]"), Request(2, CLJ, "w/echo", b"[1]")), [Error(2, 13)]
        )
        other = Peer(self.server)
        self.assertEqual(other.ask(Request(3, CLJ, "w/echo", b"[1]")), [Error(3, 13)])
        self.server.functions.add({"secret": {"f": echo}}, allow=lambda peer: False)
        self.assertEqual(other.ask(Request(4, CLJ, "secret/f", b"[1]")), [Error(4, 22)])

    def test_an_interrupted_call_ends_as_canceled_and_what_comes_later_is_dropped(self) -> None:
        waiting: Deferred[Any] = Deferred()
        peer = self.serve(CallStatistics(), exposed={"wait": lambda: waiting})
        self.assertEqual(peer.ask(Request(1, CLJ, "r/wait", b""), Interrupt(1)), [Error(1, 14)])
        self.assertTrue(waiting.called)
        self.server.workers.held = True  # type: ignore[attr-defined]
        self.assertEqual(peer.ask(Request(2, CLJ, "w/echo", b"[1]"), Interrupt(2)), [Error(2, 14)])
        self.server.workers.run()  # type: ignore[attr-defined]
        self.assertEqual((peer.answers(), self.server.calls_running), ([], 0))


class EndTests(StagedTestCase):
    """Whatever stages, functions and codecs do, a call is answered once, and does not count any more then."""

    def assertEnded(self, peer: Peer) -> None:
        self.assertEqual((len(peer.connection.calls), self.server.calls_running, peer.lost), (0, 0, False))

    def test_an_interrupted_call_ends_when_its_last_stages_do(self) -> None:
        for stage in ("after", "post"):
            waits = Waits(stage)
            peer = self.serve(waits, exposed={"wait": Deferred})
            self.assertEqual(peer.ask(Request(1, CLJ, "r/wait", b""), Interrupt(1)), [Error(1, 14)])
            self.assertEqual(self.server.calls_running, 1)
            waits.waiting.callback(None)
            peer.pump()
            self.assertEqual(peer.answers(), [])
            self.assertEnded(peer)

    def test_so_does_the_call_of_an_http_client_that_has_left(self) -> None:
        for stage in ("after", "post"):
            waits = Waits(stage)
            self.serve(waits, exposed={"wait": Deferred})
            caller = Client(site(self.server))
            caller.send(b"POST /r/wait.json HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            caller.transport.abortConnection()
            waits.waiting.callback(None)
            self.assertEqual((caller.received, self.server.calls_running), (b"", 0))

    def test_an_interrupted_coroutine_that_waits_again_ends_when_it_ends(self) -> None:
        again: Deferred[None] = Deferred()

        async def stubborn() -> None:
            try:
                await Deferred()
            except CancelledError:
                await again

        for interceptors in [(), (CallStatistics(),)]:
            again = Deferred()
            peer = self.serve(*interceptors, exposed={"stubborn": stubborn})
            self.assertEqual(peer.ask(Request(1, CLJ, "r/stubborn", b""), Interrupt(1)), [Error(1, 14)])
            self.assertEqual(self.server.calls_running, 1)
            again.callback(None)
            peer.pump()
            self.assertEqual(peer.answers(), [])
            self.assertEnded(peer)

    def test_a_stage_may_raise_what_is_no_mere_exception(self) -> None:
        for error in (asyncio.CancelledError, SystemExit, CancelledError):
            for stage in ("pre", "before", "after", "post"):
                statistics, waits = CallStatistics(), Waits(stage)
                peer = self.serve(statistics, waits)
                peer.send(Request(1, CLJ, "r/echo", b"[1]"))
                waits.waiting.errback(error())
                peer.pump()
                waits.waiting = fail(error())
                answers = [*peer.answers(), *peer.ask(Request(1, CLJ, "r/echo", b"[1]"))]
                for answer in answers:
                    self.assertIn(error.__name__, self.value(answer))
                self.assertEqual(len(answers), 2)
                self.assertEqual(statistics.functions["r/echo"].in_flight, 0)
                self.assertEnded(peer)

    def test_a_stage_may_raise_it_at_once(self) -> None:
        class Exits(Interceptor):
            def __init__(self, stage: str) -> None:
                setattr(self, stage, lambda call: sys.exit(1))

        for stage in ("pre", "before", "after", "post"):
            peer = self.serve(Exits(stage))
            [answer] = self.ask(peer, "echo")
            self.assertEqual(self.value(answer), "SystemExit: 1")
            self.assertEnded(peer)

    def test_a_result_may_raise_anything_while_it_is_written(self) -> None:
        def later() -> Deferred[Any]:
            self.waiting: Deferred[Any] = Deferred()
            return self.waiting

        for error in (RuntimeError, SystemExit):
            hostile = Hostile(error)
            for interceptors in [(), (CallStatistics(),)]:
                functions = {"now": lambda: hostile, "later": later}  # noqa: B023  # called at once
                peer = self.serve(*interceptors, exposed=functions)
                [answer] = self.ask(peer, "now", b"")
                self.assertIn(error.__name__, self.value(answer))
                self.assertEqual(peer.ask(Request(2, CLJ, "r/later", b"")), [])
                self.waiting.callback(hostile)
                peer.pump()
                [answer] = peer.answers()
                self.assertIn(error.__name__, self.value(answer))
                self.assertEnded(peer)

    def test_an_interceptor_may_make_the_answer_what_is_none(self) -> None:
        class Text(Interceptor):
            waiting: Deferred[None] | None = None

            def post(self, call: Call) -> Any:
                call.answer = "text"  # type: ignore[assignment]
                return self.waiting

        text = Text()
        peer = self.serve(text)
        [now] = peer.ask(Request(1, CLJ, "r/echo", b"[1]"))
        text.waiting = Deferred()
        self.assertEqual(peer.ask(Request(1, CLJ, "r/echo", b"[1]")), [])
        text.waiting.callback(None)
        peer.pump()
        [later] = peer.answers()
        self.assertIn("made the answer a str", self.value(now))
        self.assertEqual(now, later)
        self.assertEnded(peer)

    def test_an_answer_that_an_interceptor_has_made_too_large_is_an_error_of_this_call_alone(self) -> None:
        class Large(Interceptor):
            def post(self, call: Call) -> None:
                call.answer = b'"' + b"x" * 2_000 + b'"'

        peer = self.serve(Large(), limits=Limits(max_frame=1_000))
        [answer] = peer.ask(Request(1, CLJ, "r/echo", b"[1]"))
        self.assertIn("its 2002 bytes, beside the call's extensions, do not fit", self.value(answer))

    def test_an_error_of_which_nothing_can_be_told_is_one_all_the_same(self) -> None:
        class Untellable(Exception):
            def __str__(self) -> str:
                raise SystemExit

        waiting: Deferred[None] = Deferred()
        peer = self.serve(exposed={"wait": lambda: waiting})
        self.assertEqual(peer.ask(Request(1, CLJ, "r/wait", b"")), [])
        waiting.errback(Untellable())
        peer.pump()
        [answer] = peer.answers()
        self.assertIn("Untellable", self.value(answer))
        self.assertEnded(peer)


class DeadlineTests(StagedTestCase):
    def seconds(self) -> float:
        return self.network.reactor.seconds()

    def test_a_call_that_waited_too_long_for_a_worker_is_canceled_and_does_not_run(self) -> None:
        ran: list[int] = []
        peer = self.serve(Deadline(seconds=self.seconds), exposed={"run": ran.append})
        self.server.workers.held = True  # type: ignore[attr-defined]
        for tid, milliseconds in [(1, b"1000"), (2, b"9000")]:
            peer.send(Request(tid, CLJ, "w/run", b"[%d]" % tid, ((-2, milliseconds),)))
        self.network.advance(1)
        self.server.workers.run()  # type: ignore[attr-defined]
        peer.pump()
        first, second = peer.answers()
        self.assertEqual((first, ran), (Error(1, 14), [2]))
        assert isinstance(second, Response)

    def test_a_function_knows_its_deadline(self) -> None:
        peer = self.serve(
            Deadline(seconds=self.seconds),
            exposed={"deadline": lambda: current_call().deadline},
        )
        [answer] = self.ask(peer, "deadline", b"", extensions=((-2, b"1500"),))
        self.assertEqual(self.value(answer), 1.5)


class CurrentCallTests(StagedTestCase):
    def test_a_function_knows_who_calls_what_with_which_extensions(self) -> None:
        def tell() -> Any:
            call = current_call()
            return [call.function.partition("/")[2], call.peer.address, call.extensions, call.deadline]

        expected = ["tell", "10.0.0.9:40001", {16: "a"}, None]
        for interceptors in [(), (CallStatistics(),)]:
            peer = self.serve(*interceptors, exposed={"tell": tell})
            [answer] = self.ask(peer, "tell", b"", extensions=((16, b'"a"'), (17, b"(")))
            self.assertEqual(self.value(answer), expected)

    def test_so_do_coroutines_after_they_have_waited(self) -> None:
        waiting: Deferred[None] = Deferred()

        async def tell() -> str:
            await waiting
            return current_call().function

        peer = self.serve(exposed={"tell": tell})
        peer.send(Request(1, CLJ, "r/tell", b""))
        waiting.callback(None)
        peer.pump()
        self.assertEqual(self.value(peer.answers()[0]), "r/tell")

    def test_plain_callbacks_do_not_unless_they_are_run_in_the_functions_context(self) -> None:
        waiting: Deferred[None] = Deferred()

        def tell(_: object = None) -> str:
            try:
                return current_call().function
            except LookupError:
                return "unknown"

        @inlineCallbacks
        def generator() -> Generator[Deferred[None], None, str]:
            yield waiting
            return tell()

        functions = {
            "plain": lambda: waiting.addCallback(tell),
            "kept": lambda: waiting.addCallback(partial(copy_context().run, tell)),
            "generator": generator,
        }
        for interceptors in [(), (CallStatistics(),)]:
            peer = self.serve(*interceptors, exposed=functions)
            for name, told in [("plain", "unknown"), ("kept", "r/kept"), ("generator", "r/generator")]:
                waiting = Deferred()
                peer.send(Request(1, CLJ, f"r/{name}", b""))
                waiting.callback(None)
                peer.pump()
                self.assertEqual(self.value(peer.answers()[0]), told)

    def test_context_variables_that_a_call_sets_are_its_own(self) -> None:
        variable: ContextVar[str] = ContextVar("variable", default="nobody's")

        def swap(name: str) -> str:
            before = variable.get()
            variable.set(name)
            return before

        class Swaps(Interceptor):
            def pre(self, call: Call) -> None:
                call.state["before"] = swap("the stage's")

            def post(self, call: Call) -> None:
                call.answer = dumps("clj", [call.state["before"], call.result])

        for interceptors, seen in [((), "nobody's"), ((Swaps(),), ["nobody's", "the stage's"])]:
            peer = self.serve(*interceptors, exposed={"swap": swap})
            for name in (b'["a"]', b'["b"]'):
                [answer] = peer.ask(Request(1, CLJ, "r/swap", name))
                self.assertEqual(self.value(answer), seen)
        self.assertEqual(variable.get(), "nobody's")

    def test_they_are_in_worker_threads_too_which_keep_nothing_of_a_call(self) -> None:
        variable: ContextVar[str] = ContextVar("variable", default="nobody's")
        told: list[str] = []

        def set_and_tell(value: str) -> None:
            variable.set(value)
            told.append(current_call().function)

        for interceptors in [(), (CallStatistics(),)]:
            peer = self.serve(*interceptors, exposed={"set": set_and_tell})
            self.server.workers.held = True  # type: ignore[attr-defined]
            peer.send(Request(1, CLJ, "w/set", b'["a"]'))
            [job] = self.server.workers.queue  # type: ignore[attr-defined]
            job.run()  # as a worker thread does
            self.assertEqual((told.pop(), variable.get()), ("w/set", "nobody's"))
            self.assertRaises(LookupError, current_call)

    def test_outside_of_a_call_there_is_none(self) -> None:
        self.ask(self.serve(), "echo")
        self.assertRaises(LookupError, current_call)

    def test_a_running_function_sees_that_it_was_interrupted(self) -> None:
        seen: list[Any] = []

        def wait() -> Deferred[None]:
            seen.append(current_call())
            return Deferred(lambda _: None)

        for interceptors in [(), (CallStatistics(),)]:
            peer = self.serve(*interceptors, exposed={"wait": wait})
            peer.send(Request(1, CLJ, "r/wait", b""))
            self.assertFalse(seen[-1].interrupted)
            peer.send(Interrupt(1))
            self.assertTrue(seen[-1].interrupted)

    def test_calls_made_inside_carry_the_extensions_save_the_time_of_this_hop(self) -> None:
        carried: list[Any] = []

        def inside() -> None:
            carried.append(outgoing_extensions())
            with with_extensions({17: "own"}):
                carried.append(outgoing_extensions())

        peer = self.serve(exposed={"inside": inside})
        peer.ask(Request(1, CLJ, "r/inside", b"", ((16, b'"a"'), (-2, b"1000"))))
        self.assertEqual(carried, [{16: "a"}, {16: "a", 17: "own"}])
        self.assertIsNone(outgoing_extensions())


class OptionTests(StagedTestCase):
    def test_debug_mode_tells_where_an_exception_was_raised(self) -> None:
        for interceptors in [(), (CallStatistics(),)]:
            peer = self.serve(*interceptors, debug=True)
            for namespace in "wr":
                [answer] = peer.ask(Request(1, CLJ, f"{namespace}/fails", b""))
                told = self.value(answer)
                self.assertEqual(told[Keyword("msg")], "slacker.errors.NotSent: of a call of its own")
                self.assertTrue(any("in fails" in line for line in told[Keyword("stacktrace")]))

    def test_a_namespace_may_have_a_pool_of_its_own(self) -> None:
        server = SlackerServer(
            [{"n": {"f": echo}, "m": {"f": echo}}], executors={"n": (1, 0)}, reactor=Network().reactor
        )
        self.addCleanup(server.stop)
        self.assertIsNot(server.pool_of("n"), server.workers)
        self.assertIs(server.pool_of("m"), server.workers)
        self.assertEqual(server.pools(), dict.fromkeys(["*", "n"], PoolStatus(0, 0, 0.0)))
        self.assertRaises(
            ConfigurationError, SlackerServer, [], executors={"n": (1, 0)}, reactor=Network().reactor
        )

    def test_content_types_may_be_pinned(self) -> None:
        peer = self.serve(content_types=["json"])
        self.assertEqual(peer.ask(Request(1, CLJ, "r/echo", b"[1]")), [Error(1, 21)])
        self.assertEqual(peer.ask(Request(1, 1, "r/echo", dumps("json", [1]))), [Response(1, 1, 0, b"1")])
        self.assertRaises(ConfigurationError, self.serve, content_types=["xml"])
