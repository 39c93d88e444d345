"""Calls with interceptors, extensions, and without waiting; clients of old peers."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed

from slacker.client.client import Client
from slacker.content.values import Keyword
from slacker.errors import (
    BacklogOverflow,
    CallTimeout,
    ConfigurationError,
    ConnectionLost,
    ContentError,
    NotSent,
    PeerProtocolError,
    RemoteError,
)
from slacker.interceptors import Call, CallStatistics, Interceptor, with_extensions
from slacker.wire import Error, InspectAck, Interrupt, Ping, Pong, Request, Response
from tests.client.test_client import ADDRESS, CLJ, ClientTestCase


class InterceptorTests(ClientTestCase):
    def ask(self, *interceptors: Interceptor, answer: Any = None, **options: Any) -> Deferred[Any]:
        client, server = self.greeted(interceptors=interceptors)
        call = client.call("n", "f", [1], **options)
        self.network.flush()
        for request in server.received():
            assert isinstance(request, Request)
            self.request = request
            server.say(answer(request.tid) if answer else Response(request.tid, CLJ, 0, b'"x"'))
        return call

    def test_each_stage_sees_the_call_as_far_as_it_is(self) -> None:
        seen: list[Any] = []

        class Looks(Interceptor):
            def pre(self, call: Call) -> None:
                seen.append((call.name, call.args, call.data, call.peer, call.timeout))

            def before(self, call: Call) -> None:
                seen.append((call.data, call.content_type))

            def after(self, call: Call) -> None:
                seen.append((call.answer, call.result))

            def post(self, call: Call) -> None:
                seen.append(call.result)

        self.assertEqual(self.result(self.ask(Looks())), "x")
        self.assertEqual(seen, [("n/f", [1], None, ADDRESS, 10.0), (b"[1]", "clj"), (b'"x"', None), "x"])

    def test_stages_may_change_what_is_sent_and_what_came(self) -> None:
        class Changes(Interceptor):
            def pre(self, call: Call) -> None:
                call.function, call.args = "g", [2]
                call.extensions[16] = Keyword("a")

            async def before(self, call: Call) -> None:
                call.data = (call.data or b"") + b" "

            def after(self, call: Call) -> Any:
                call.answer = b'"changed"'
                return succeed(None)

            def post(self, call: Call) -> None:
                call.result = [call.result, call.extensions]

        answer = lambda tid: Response(tid, CLJ, 0, b'"x"', ((16, b":b"),))  # noqa: E731
        self.assertEqual(self.result(self.ask(Changes(), answer=answer)), ["changed", {16: Keyword("b")}])
        self.assertEqual(self.request, Request(1, CLJ, "n/g", b"[2] ", ((16, b":a"),)))

    def test_a_stage_may_encode_the_arguments_itself(self) -> None:
        class Encodes(Interceptor):
            def pre(self, call: Call) -> None:
                call.data = b"[:itself]"

        self.assertEqual(self.result(self.ask(Encodes())), "x")
        self.assertEqual(self.request, Request(1, CLJ, "n/f", b"[:itself]"))

    def test_a_call_may_end_before_it_is_sent(self) -> None:
        class Ends(Interceptor):
            def pre(self, call: Call) -> None:
                call.end("early")

        class Refuses(Interceptor):
            def before(self, call: Call) -> None:
                raise ValueError("no")

        client, server = self.greeted(interceptors=[Ends()])
        self.assertEqual(self.successResultOf(client.call("n", "f")), "early")
        client, server = self.greeted(interceptors=[Refuses()])
        self.failureResultOf(client.call("n", "f"), ValueError)
        self.assertEqual(server.received(), [])

    def test_errors_pass_the_stages_and_may_be_mended(self) -> None:
        class Mends(Interceptor):
            def post(self, call: Call) -> None:
                assert call.error is not None
                call.result, call.error = str(call.error), None

        failing = self.ask(Mends(), answer=lambda tid: Response(tid, CLJ, 12, b'"boom"'))
        self.assertEqual(self.result(failing), f"n/f raised on {ADDRESS}: boom")
        self.assertIn(
            "exposes no function", self.result(self.ask(Mends(), answer=lambda tid: Error(tid, 11)))
        )
        self.assertIn(
            "not known", self.result(self.ask(Mends(), answer=lambda tid: Response(tid, 99, 0, b"1")))
        )

    def test_an_inspection_is_no_answer_to_a_call(self) -> None:
        interceptors: list[list[Interceptor]] = [[], [CallStatistics()]]
        for each in interceptors:
            client, server = self.greeted(interceptors=each)
            for extensions in (None, {16: 1}):
                call = client.call("n", "f", extensions=extensions)
                self.network.flush()
                [request] = server.received()
                server.say(InspectAck(request.tid, b"[]"))
                error = self.failure(call, PeerProtocolError)
                self.assertEqual(str(error), f"{ADDRESS} answered n/f with an inspection")

    def test_statistics_count_every_end(self) -> None:
        statistics = CallStatistics()
        self.result(self.ask(statistics))
        self.failure(self.ask(statistics, answer=lambda tid: Response(tid, CLJ, 12, b'"no"')), RemoteError)
        client, _ = self.greeted(interceptors=[statistics], timeout=1.0)
        call = client.call("n", "f")
        self.network.advance(1)
        self.failure(call, CallTimeout)
        lost = client.call("n", "f")
        self.network.flush()
        self.network.cut(ADDRESS)
        self.failure(lost, ConnectionLost)
        counted = statistics.functions["n/f"]
        self.assertEqual((counted.calls, counted.errors, counted.in_flight), (4, 3, 0))

    def test_they_wait_for_a_connection_as_other_calls_do(self) -> None:
        self.play()
        client = self.client(interceptors=[CallStatistics()], backlog=1)
        call = client.call("n", "f")
        self.failure(client.call("n", "f"), BacklogOverflow)
        self.network.refuse(ADDRESS)
        self.failure(call, NotSent)

    def test_a_call_can_be_cancelled_at_every_point(self) -> None:
        client, server = self.greeted("txslacker/1", interceptors=[CallStatistics()])
        call = client.call("n", "f")
        self.network.flush()
        call.cancel()
        self.failure(call, CancelledError)
        self.assertEqual([type(frame) for frame in server.received()], [Request, Interrupt])
        self.play()
        unconnected = self.client(interceptors=[CallStatistics()])
        call = unconnected.call("n", "f")
        call.cancel()
        self.failure(call, CancelledError)
        self.assertEqual(unconnected.in_flight, 0)


class ExtensionTests(ClientTestCase):
    def sent(self, client: Client, server: Any, **options: Any) -> Any:
        call = client.call("n", "f", [1], **options)
        self.network.flush()
        [request] = server.received()
        server.say(Response(request.tid, CLJ, 0, b"1"))
        self.assertEqual(self.result(call), 1)
        return dict(request.extensions)

    def test_they_come_from_the_call_and_from_around_it_and_the_inner_one_wins(self) -> None:
        client, server = self.greeted()
        self.assertEqual(self.sent(client, server), {})
        self.assertEqual(self.sent(client, server, extensions={16: "a"}), {16: b'"a"'})
        with with_extensions({16: 1, 17: 2}):
            self.assertEqual(self.sent(client, server), {16: b"1", 17: b"2"})
            with with_extensions({17: 3}):
                self.assertEqual(
                    self.sent(client, server, extensions={18: 4}), {16: b"1", 17: b"3", 18: b"4"}
                )
        self.assertEqual(self.sent(client, server), {})

    def test_what_cannot_be_an_extension_fails_before_anything_is_sent(self) -> None:
        client, server = self.greeted()
        wrong: list[Any] = [{2**15: 1}, {"a": 1}, dict.fromkeys(range(128))]
        for extensions in wrong:
            self.failure(client.call("n", "f", extensions=extensions), ConfigurationError)
        self.failure(client.call("n", "f", extensions={1: object()}), ContentError)
        self.assertEqual((server.received(), client.in_flight), ([], 0))

    def test_one_of_an_answer_that_cannot_be_read_is_left_out(self) -> None:
        seen: list[Any] = []

        class Looks(Interceptor):
            def post(self, call: Call) -> None:
                seen.append(call.extensions)

        client, server = self.greeted(interceptors=[Looks()])
        for content_type, extensions in [(CLJ, {16: "a", 18: None}), (99, {})]:
            call = client.call("n", "f")
            self.network.flush()
            [request] = server.received()
            server.say(Response(request.tid, content_type, 0, b"1", ((16, b'"a"'), (17, b"("), (18, b""))))
            if content_type == CLJ:
                self.assertEqual(self.result(call), 1)
            else:
                self.failure(call, ContentError)
            self.assertEqual(seen.pop(), extensions)

    def test_so_does_one_that_is_too_large(self) -> None:
        client, server = self.greeted()
        error = self.failure(client.call("n", "f", extensions={1: 2, 16: "x" * 65_534}), ContentError)
        self.assertEqual(str(error), "extension 16 has 65536 bytes as clj; there is room for 65535")
        self.assertEqual((server.received(), client.in_flight), ([], 0))
        self.assertEqual(self.sent(client, server, extensions={16: "x" * 65_533})[16][:2], b'"x')

    def test_they_take_their_room_in_a_frame(self) -> None:
        client, server = self.greeted(max_frame=1_000)
        nine = dict.fromkeys(range(9), "x" * 100)
        self.assertEqual(len(self.sent(client, server, extensions=nine)), 9)
        error = self.failure(client.call("n", "f", extensions={**nine, 9: "x" * 100}), ContentError)
        self.assertIn("do not fit into a frame of 1000", str(error))
        self.assertEqual((server.received(), client.in_flight), ([], 0))

    def test_before_version_6_they_take_none(self) -> None:
        self.play()
        client = self.client(version=5, max_frame=1_000)
        call = client.call("n", "f", extensions={16: "x" * 1_000})
        self.network.flush()
        [server] = self.played
        server.say(Pong(version=5))
        self.network.flush()
        _, request = server.received()
        self.assertEqual(request, Request(request.tid, CLJ, "n/f", b"[]", version=5))
        server.say(Response(request.tid, CLJ, 0, b"1", version=5))
        self.assertEqual(self.result(call), 1)

    def test_an_argument_that_cannot_be_written_is_named_as_in_any_call(self) -> None:
        client, server = self.greeted()
        error = self.failure(client.call("n", "f", [{"when": object()}], extensions={1: 2}), ContentError)
        self.assertIn('the arguments of n/f: args[0]["when"] is of type object', str(error))
        self.assertEqual((server.received(), client.in_flight), ([], 0))


class OptionTests(ClientTestCase):
    def test_fire_and_forget_ends_when_the_call_is_sent(self) -> None:
        client, server = self.greeted()
        self.assertIsNone(self.successResultOf(client.call("n", "f", [1], fire_and_forget=True)))
        self.network.flush()
        [request] = server.received()
        server.say(Response(request.tid, CLJ, 12, b'"nobody hears it"'))
        self.network.flush()
        self.assertEqual(client.in_flight, 0)

    def test_a_call_that_times_out_is_interrupted_where_that_is_wanted(self) -> None:
        for software, options, interrupted in [
            ("txslacker/1", {}, False),
            ("txslacker/1", {"interrupt_on_timeout": True}, True),
            ("0.18.0", {"interrupt_on_timeout": True}, False),
            ("0.18.0", {"interrupt_on_timeout": True, "interrupt_any_peer": True}, True),
        ]:
            client, server = self.greeted(software, **options)
            call = client.call("n", "f", timeout=1.0)
            self.network.advance(1)
            self.failure(call, CallTimeout)
            expected = [Request, Interrupt] if interrupted else [Request]
            self.assertEqual([type(frame) for frame in server.received()], expected)
        client, server = self.greeted("txslacker/1")
        call = client.call("n", "f", timeout=1.0, interrupt_on_timeout=True)
        self.network.advance(1)
        self.failure(call, CallTimeout)
        self.assertEqual(len(server.received()), 2)

    def test_an_old_peer_is_spoken_to_in_version_5_without_hello_or_extensions(self) -> None:
        self.play()
        client = self.client(version=5)
        client.connect()
        self.network.flush()
        [server] = self.played
        self.assertEqual(server.received(), [Ping(version=5)])
        server.say(Pong(version=5))
        self.network.flush()
        call = client.call("n", "f", [1])
        extended = client.call("n", "f", [2], extensions={16: 1})
        self.network.flush()
        first, second = server.received()
        self.assertEqual(first, Request(1, CLJ, "n/f", b"[1]", version=5))
        self.assertEqual(second, Request(2, CLJ, "n/f", b"[2]", version=5))
        server.say(Response(1, CLJ, 0, b"1", version=5), Response(2, CLJ, 0, b"2", version=5))
        self.assertEqual((self.result(call), self.result(extended)), (1, 2))
        self.assertRaises(ConfigurationError, Client, ADDRESS, version=4, reactor=self.network.reactor)
