"""A client of one server, against a real server in memory or a peer that is played by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from slacker.client.client import Client
from slacker.client.connection import SOFTWARE
from slacker.content.values import Keyword
from slacker.errors import (
    AccessDenied,
    BacklogOverflow,
    CallTimeout,
    Canceled,
    ConfigurationError,
    ConnectionLost,
    ContentError,
    FunctionNotFound,
    NotSent,
    PeerProtocolError,
    RemoteError,
    ServerBusy,
)
from slacker.server.functions import nonblocking
from slacker.testing import Network
from slacker.wire import (
    ClientHello,
    Decoder,
    Error,
    Frame,
    InspectAck,
    Ping,
    Pong,
    Request,
    Response,
    ServerHello,
    encode,
)

ADDRESS = "10.0.0.1:2104"
CLJ = 2
SESSION = Path(__file__).parent.parent / "vectors" / "session.json"


def echo(x: Any) -> Any:
    return x


def fails() -> None:
    raise ValueError("no")


class PlayedServer(Protocol):
    """A server of which the test plays every word."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._frames: list[Frame] = []

    def dataReceived(self, data: bytes) -> None:
        self._frames += self._decoder.feed(data)

    def received(self) -> list[Frame]:
        frames, self._frames = self._frames, []
        return frames

    def say(self, *frames: Frame | bytes) -> None:
        data = b"".join(frame if isinstance(frame, bytes) else encode(frame) for frame in frames)
        assert self.transport is not None
        self.transport.write(data)


class ClientTestCase(SynchronousTestCase):
    address = ADDRESS

    def setUp(self) -> None:
        self.network = Network()
        self.played: list[PlayedServer] = []
        self.clients: list[Client] = []

    def client(self, **options: Any) -> Client:
        self.clients.append(self.network.client(self.address, **options))
        return self.clients[-1]

    def tearDown(self) -> None:
        closed = [client.close() for client in self.clients]
        self.network.advance(2)
        for each in closed:
            self.successResultOf(each)
        self.assertEqual(self.network.reactor.getDelayedCalls(), [])

    def play(self) -> None:
        """Let a hand-played server listen."""

        def build() -> PlayedServer:
            self.played.append(PlayedServer())
            return self.played[-1]

        factory = Factory.forProtocol(build)
        factory.noisy = False
        self.network.listen(self.address, factory)

    def greeted(self, software: str = "0.18.0", **options: Any) -> tuple[Client, PlayedServer]:
        """A client that is connected to a played server which says that it is this software."""
        self.play()
        client = self.client(**options)
        client.connect()
        self.network.flush()
        server = self.played[-1]
        self.assertEqual([type(frame) for frame in server.received()], [ClientHello])
        server.say(ServerHello(software))
        self.network.flush()
        self.assertTrue(client.connected)
        return client, server

    def result(self, deferred: Deferred[Any]) -> Any:
        self.network.flush()
        return self.successResultOf(deferred)

    def failure(self, deferred: Deferred[Any], kind: type[Exception]) -> Any:
        self.network.flush()
        return self.failureResultOf(deferred, kind).value


class CallTests(ClientTestCase):
    """Calls on a server of this project."""

    def setUp(self) -> None:
        super().setUp()
        self.waiting: list[Deferred[Any]] = []
        self.server = self.network.serve(
            ADDRESS,
            [
                {"n": {"echo": echo, "fails": fails, "rand-ints": lambda n: [4] * n, "a_b": echo}},
                nonblocking({"r": {"wait": self.wait}}),
            ],
        )

    def wait(self) -> Deferred[Any]:
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def test_a_call_connects_and_brings_the_result(self) -> None:
        client = self.client()
        self.assertFalse(client.connected)
        self.assertEqual(self.result(client.call("n", "echo", ["x"])), "x")
        self.assertTrue(client.connected)

    def test_every_value_survives_under_auto(self) -> None:
        value = [Keyword("a"), {1: (2, None)}, frozenset({1.5}), b"\0", 2**70]
        self.assertEqual(
            self.result(self.client().call("n", "echo", [value])), [*value[:1], {1: [2, None]}, *value[2:]]
        )

    def test_a_namespaces_attributes_and_items_are_functions(self) -> None:
        api = self.client().namespace("n")
        self.assertEqual(self.result(api.rand_ints(3)), [4, 4, 4])
        self.assertEqual(self.result(api["rand-ints"](1)), [4])
        self.assertEqual(self.result(api["a_b"](1)), 1)
        self.failure(api.a_b(1), FunctionNotFound)
        with self.assertRaises(AttributeError):
            _ = api._private
        with self.assertRaises(TypeError):
            api.echo(x=1)  # type: ignore[call-arg]

    def test_a_function_carries_its_options(self) -> None:
        client = self.client()
        wait = client.function("r/wait", timeout=2.0)
        slow, fast = wait(), wait.with_options(timeout=1.0)()
        self.network.advance(1)
        self.failure(fast, CallTimeout)
        self.assertNoResult(slow)
        self.network.advance(1)
        self.failure(slow, CallTimeout)

    def test_names_that_cannot_be_are_refused(self) -> None:
        client = self.client()
        self.assertRaises(ConfigurationError, client.function, "no-slash")
        for namespace, name in [("", "f"), ("n", ""), ("a/b", "f"), ("n", "\ud800"), ("n", "x" * 70_000)]:
            self.failure(client.call(namespace, name), ConfigurationError)

    def test_a_remote_exception_tells_what_where_and_why(self) -> None:
        error = self.failure(self.client().call("n", "fails"), RemoteError)
        self.assertEqual(error.remote_message, "ValueError: no")
        self.assertEqual((error.server, error.function), (ADDRESS, "n/fails"))
        self.assertEqual(str(error), f"n/fails raised on {ADDRESS}: ValueError: no")

    def test_arguments_that_cannot_be_written_fail_before_anything_is_sent(self) -> None:
        client = self.client()
        texts = [str(self.failure(client.call("n", "echo", [{"when": object()}]), ContentError))]
        self.result(client.call("n", "echo", [1]))  # the first one had to wait for the connection
        texts.append(str(self.failure(client.call("n", "echo", [{"when": object()}]), ContentError)))
        for text in texts:
            where = 'msgpack cannot carry the arguments of n/echo: args[0]["when"] is of type object'
            self.assertTrue(text.startswith(where), text)
        self.assertEqual(client.in_flight, 0)

    def test_a_cancelled_call_is_interrupted_on_the_server(self) -> None:
        client = self.client()
        call = client.call("r", "wait")
        self.network.flush()
        call.cancel()
        self.failure(call, CancelledError)
        self.assertTrue(self.waiting[0].called)
        self.assertEqual(client.in_flight, 0)

    def test_a_call_cancelled_before_it_left_never_leaves(self) -> None:
        client = self.client()
        call = client.call("r", "wait")
        call.cancel()
        self.failure(call, CancelledError)
        self.assertEqual(self.waiting, [])

    def test_the_server_can_be_asked_about_itself(self) -> None:
        client = self.client(name="reporting")
        self.assertEqual(self.result(client.functions("r")), ["r/wait"])
        self.assertEqual(len(self.result(client.functions())), 5)
        self.assertIn(Keyword("arglists"), self.result(client.meta("n/echo")))
        self.assertEqual(self.result(client.meta("n/none")), {})
        [shown] = self.result(client.clients())[Keyword("connected-clients")]
        self.assertEqual(shown[Keyword("name")], "reporting")

    def test_other_content_types_can_be_chosen(self) -> None:
        client = self.client(content_type="json")
        self.assertEqual(self.result(client.call("n", "echo", [[1, "a"]])), [1, "a"])
        self.assertEqual(
            self.result(client.call("n", "echo", [Keyword("a")], content_type="clj")), Keyword("a")
        )
        self.failure(client.call("n", "echo", [1], content_type="nonsense"), ConfigurationError)

    def test_wrong_options_are_refused(self) -> None:
        wrong: list[dict[str, Any]] = [
            {"timeout": 0},
            {"keepalive": -1},
            {"connect_timeout": 0},
            {"content_type": "xml"},
            {"timeout": "3"},
            {"timeout": float("nan")},
            {"backlog": 0},
            {"max_frame": 1.5},
        ]
        for options in wrong:
            self.assertRaises(ConfigurationError, Client, ADDRESS, reactor=self.network.reactor, **options)
        nothing: list[Any] = [None, 5, b"10.0.0.1:1"]
        for address in nothing:
            self.assertRaises(ConfigurationError, Client, address, reactor=self.network.reactor)
        seconds: list[Any] = [0, -1, float("inf"), 10**400, 1e16, "3", True]
        for timeout in seconds:
            self.failure(self.client().call("n", "echo", timeout=timeout), ConfigurationError)
            self.failure(
                self.client(interceptors=[]).call("n", "f", extensions={1: 1}, timeout=timeout),
                ConfigurationError,
            )

    def test_arguments_that_do_not_fit_into_a_frame_are_not_sent(self) -> None:
        client = self.client(max_frame=1000)
        big = ["x" * 1000]
        for _ in range(2):  # while it connects, and when it is connected
            error = self.failure(client.call("n", "echo", big), ContentError)
            self.assertRegex(
                str(error),
                r"^arguments of n/echo: their \d+ bytes, extensions included, do not fit into a frame",
            )
            self.failure(client.call("n", "echo", big, extensions={1: 1}), ContentError)
        self.assertEqual(self.result(client.call("n", "echo", [1])), 1)
        self.failure(client.call("n", "f" * 990, [1]), ContentError)
        self.failure(client.call("n", "f" * 970, [1]), FunctionNotFound)
        self.assertRaises(ConfigurationError, Client, "nonsense", reactor=self.network.reactor)

    def test_the_backlog_is_limited(self) -> None:
        client = self.client(backlog=2)
        calls = [client.call("r", "wait") for _ in range(3)]
        error = self.failure(calls[2], BacklogOverflow)
        self.assertIn("backlog", str(error))
        self.failure(client.functions(), BacklogOverflow)
        self.waiting[0].callback(1)
        self.assertEqual(self.result(calls[0]), 1)
        again = client.call("n", "echo", [1])
        self.assertEqual(self.result(again), 1)
        self.waiting[1].callback(2)
        self.assertEqual(self.result(calls[1]), 2)

    def test_calls_made_while_answers_come_leave_in_one_write(self) -> None:
        client = self.client()
        self.result(client.call("n", "echo", [0]))
        again: list[Deferred[Any]] = []
        for number in range(5):
            client.call("n", "echo", [number]).addCallback(
                lambda n: again.append(client.call("n", "echo", [n]))
            )
        [near] = self.network.connections(ADDRESS)
        near.step()
        near.other.step()
        self.assertEqual(len(again), 5)
        self.assertEqual(len(near._written), 1)
        self.assertEqual([self.result(call) for call in again], [0, 1, 2, 3, 4])


class AnswerTests(ClientTestCase):
    """What each answer of a peer becomes."""

    def answer(self, make: Any) -> Deferred[Any]:
        client, server = self.greeted()
        call = client.call("n", "f", [1])
        self.network.flush()
        [request] = server.received()
        assert isinstance(request, Request)
        server.say(make(request.tid))
        return call

    def test_codes_become_errors_whether_in_an_error_packet_or_a_response(self) -> None:
        for code, kind in [
            (11, FunctionNotFound),
            (13, ServerBusy),
            (14, Canceled),
            (20, PeerProtocolError),
            (21, PeerProtocolError),
            (22, AccessDenied),
            (99, PeerProtocolError),
        ]:
            for make in [lambda tid: Error(tid, code), lambda tid: Response(tid, CLJ, code, b"nil")]:  # noqa: B023
                error = self.failure(self.answer(make), kind)
                self.assertEqual((error.server, error.function), (ADDRESS, "n/f"))
                self.assertIn("n/f" if code != 20 else ADDRESS, str(error))

    def test_an_exception_is_a_string_or_a_map_in_debug_mode(self) -> None:
        for data, message, traceback in [
            (b'"java.lang.RuntimeException: boom"', "java.lang.RuntimeException: boom", ""),
            (b'{:msg "boom" :stacktrace ["a" "b"]}', "boom", "a\nb"),
            (b'{:msg "boom" :stacktrace #object[x 0x1 "y"]}', "boom", ""),
            (b"{:other 1}", repr({Keyword("other"): 1}), ""),
            (b"", "None", ""),
        ]:
            error = self.failure(self.answer(lambda tid: Response(tid, CLJ, 12, data)), RemoteError)  # noqa: B023
            self.assertEqual((error.remote_message, error.remote_traceback), (message, traceback))
        error = self.failure(self.answer(lambda tid: Response(tid, CLJ, 12, b"(")), RemoteError)
        self.assertIn("cannot be read", error.remote_message)

    def test_a_result_that_cannot_be_read_fails_that_call_only(self) -> None:
        self.failure(self.answer(lambda tid: Response(tid, CLJ, 0, b"(")), ContentError)
        self.failure(self.answer(lambda tid: Response(tid, 99, 0, b"1")), ContentError)
        self.assertIsNone(self.result(self.answer(lambda tid: Response(tid, CLJ, 0, b""))))

    def test_answers_to_nobody_are_dropped(self) -> None:
        client, server = self.greeted()
        server.say(Response(77, CLJ, 0, b"1"), Error(78, 11), InspectAck(79, b"1"), Pong(5))
        server.say(bytes.fromhex("060000000800020002c3280000000000"))  # malformed, but clear where it ends
        server.say(Request(1, CLJ, "a/b", b""))
        self.network.flush()
        self.assertEqual(server.received(), [])
        self.assertTrue(client.connected)

    def test_a_ping_is_answered(self) -> None:
        _, server = self.greeted()
        server.say(Ping(7))
        self.network.flush()
        self.assertEqual(server.received(), [Pong(7)])

    def test_an_inspect_answer_that_cannot_be_read_is_an_error(self) -> None:
        client, server = self.greeted()
        asked: Deferred[Any] = client.functions()
        self.network.flush()
        [request] = server.received()
        server.say(InspectAck(request.tid, b"("))
        self.failure(asked, ContentError)
        asked = client.meta("a/b")
        self.network.flush()
        [request] = server.received()
        server.say(Error(request.tid, 21))
        self.failure(asked, PeerProtocolError)

    def test_bytes_that_are_no_frame_end_the_connection(self) -> None:
        client, server = self.greeted()
        call = client.call("n", "f")
        self.network.flush()
        server.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        error = self.failure(call, ConnectionLost)
        self.assertIn("no slacker frame", str(error))


class GreetingTests(ClientTestCase):
    """No call leaves before it is known whom it meets."""

    def test_calls_wait_for_the_hello_and_then_leave_in_order(self) -> None:
        self.play()
        client = self.client(name="me")
        first, second = client.call("n", "f", [1]), client.call("n", "f", [2])
        self.network.flush()
        [server] = self.played
        self.assertEqual(server.received(), [ClientHello(SOFTWARE, "me")])
        server.say(ServerHello("0.18.0"))
        self.network.flush()
        self.assertEqual(server.received(), [Request(1, CLJ, "n/f", b"[1]"), Request(2, CLJ, "n/f", b"[2]")])
        server.say(Response(2, CLJ, 0, b'"b"'), Response(1, CLJ, 0, b'"a"'))
        self.assertEqual((self.result(first), self.result(second)), ("a", "b"))

    def test_msgpack_goes_to_servers_of_this_project_only(self) -> None:
        client, server = self.greeted("txslacker/9")
        client.call("n", "f", [1]).addErrback(lambda _: None)
        self.network.flush()
        self.assertEqual(server.received(), [Request(1, 30, "n/f", b"\x91\x01")])

    def test_msgpack_is_refused_towards_others(self) -> None:
        client, server = self.greeted("0.18.0")
        error = self.failure(client.call("n", "f", [1], content_type="msgpack"), NotSent)
        self.assertIn("msgpack", str(error))
        self.assertEqual(server.received(), [])
        waiting = self.client(content_type="msgpack")
        call = waiting.call("n", "f", [1])
        self.network.flush()
        self.played[-1].say(ServerHello("0.18.0"))
        self.failure(call, NotSent)

    def test_a_peer_that_does_not_answer_hello_gets_a_fresh_connection_without_one(self) -> None:
        self.play()
        client = self.client()
        call = client.call("n", "f", [1])
        self.network.advance(1.5)
        self.failure(call, NotSent)
        self.network.advance(1)
        self.assertEqual(len(self.played), 2)
        old = self.played[1]
        self.assertEqual(old.received(), [Ping()])
        self.assertFalse(client.connected)
        old.say(Pong())
        self.network.flush()
        self.assertTrue(client.connected)
        call = client.call("n", "f", [1])
        self.network.flush()
        self.assertEqual(old.received(), [Request(2, CLJ, "n/f", b"[1]")])
        old.say(Response(2, CLJ, 0, b"2"))
        self.assertEqual(self.result(call), 2)

    def test_an_old_peer_gets_no_packet_it_cannot_read(self) -> None:
        self.play()
        client = self.client()
        client.connect()
        self.network.advance(1.5)
        self.network.advance(1)
        self.played[1].say(Pong())
        self.network.flush()
        self.played[1].received()
        self.failure(client.clients(), NotSent)
        call = client.call("n", "f")
        self.network.flush()
        call.cancel()
        self.failure(call, CancelledError)
        self.assertEqual([type(frame) for frame in self.played[1].received()], [Request])

    def test_a_stopped_process_is_not_taken_for_an_old_peer(self) -> None:
        self.play()
        client = self.client()
        client.connect()
        self.network.advance(1.5)  # no answer to hello
        self.network.advance(1)
        self.network.advance(1.5)  # nor to a ping
        self.network.advance(1)
        self.assertEqual(len(self.played), 3)
        self.assertEqual(self.played[2].received(), [ClientHello(SOFTWARE, "")])

    def test_a_connection_that_breaks_before_the_hello_means_not_sent(self) -> None:
        self.play()
        client = self.client()
        call = client.call("n", "f")
        self.network.flush()
        self.network.cut(ADDRESS)
        self.failure(call, NotSent)


class ConnectionTests(ClientTestCase):
    """A connection breaks, and comes back."""

    def test_a_call_without_a_server_is_not_sent_and_says_why(self) -> None:
        error = self.failure(self.client().call("n", "f"), NotSent)
        self.assertIn("nothing listens at 10.0.0.1:2104", str(error))
        self.assertEqual((error.server, error.function), (ADDRESS, "n/f"))

    def test_while_no_attempt_succeeds_calls_fail_at_once_and_then_work_again(self) -> None:
        client = self.client()
        self.failure(client.call("n", "echo", [1]), NotSent)
        call = client.call("n", "echo", [1])
        self.failureResultOf(call, NotSent)
        self.network.serve(ADDRESS, [{"n": {"echo": echo}}])
        self.network.advance(5)
        self.assertEqual(self.result(client.call("n", "echo", [1])), 1)

    def test_a_call_that_was_sent_when_the_connection_broke_is_lost(self) -> None:
        client, _ = self.greeted()
        call = client.call("n", "f")
        self.network.flush()
        self.network.cut(ADDRESS)
        error = self.failure(call, ConnectionLost)
        self.assertEqual((error.server, error.function), (ADDRESS, "n/f"))

    def test_the_connection_comes_back_and_calls_wait_for_the_first_attempt(self) -> None:
        client, _ = self.greeted()
        self.network.cut(ADDRESS)
        self.assertFalse(client.connected)
        call = client.call("n", "f")
        self.network.advance(0.2)
        self.assertEqual(len(self.played), 2)
        self.played[1].say(ServerHello("0.18.0"))
        self.network.flush()
        self.played[1].say(Response(1, CLJ, 0, b"1"))
        self.assertEqual(self.result(call), 1)

    def test_pauses_between_attempts_grow_to_a_limit(self) -> None:
        client = self.client()
        client.connect()
        pauses = []
        for _ in range(12):
            self.network.flush()
            [next_attempt] = self.network.reactor.getDelayedCalls()
            pauses.append(next_attempt.getTime() - self.network.reactor.seconds())
            self.network.advance(pauses[-1])
        self.assertTrue(0.05 <= pauses[0] <= 0.2, pauses)
        self.assertTrue(all(2.5 <= pause <= 5 for pause in pauses[8:]), pauses)
        self.assertGreater(len(set(pauses[8:])), 1)

    def test_a_server_that_accepts_and_closes_is_asked_ever_more_rarely(self) -> None:
        self.play()
        client = self.client()
        client.connect()
        for _ in range(100):
            self.network.flush()
            self.network.cut(ADDRESS)
            self.network.advance(0.5)
        self.assertLess(len(self.played), 30)

    def test_who_is_told_of_changes_hears_them_as_they_happen(self) -> None:
        seen: list[bool] = []
        client, _ = self.greeted(on_change=lambda client: seen.append(client.connected))
        self.network.cut(ADDRESS)
        self.assertEqual(seen, [True, False])
        self.assertFalse(client.connected)

    def test_closing_fails_what_is_pending_and_what_comes_later(self) -> None:
        client, _ = self.greeted()
        sent = client.call("n", "f")
        self.network.flush()
        closed = client.close()
        self.failure(sent, ConnectionLost)
        self.assertIsNone(self.result(closed))
        self.assertIn("closed", str(self.failure(client.call("n", "f"), NotSent)))
        self.assertIsNone(self.result(client.close()))

    def test_the_end_of_one_call_may_cancel_another(self) -> None:
        client, _ = self.greeted()
        first, second = client.call("n", "f"), client.call("n", "f")
        first.addErrback(lambda _: second.cancel())
        self.network.flush()
        self.network.cut(ADDRESS)
        self.failure(second, CancelledError)
        self.assertIsNone(self.result(first))

    def test_closing_while_connecting_fails_what_waits(self) -> None:
        self.play()
        client = self.client()
        call = client.call("n", "f")
        self.network.flush()
        closed = client.close()
        self.failure(call, NotSent)
        self.assertIsNone(self.result(closed))

    def test_closing_does_not_wait_for_a_peer_that_does_not_read(self) -> None:
        client, _ = self.greeted()
        self.network.stall(ADDRESS)
        client.call("n", "f").addErrback(lambda _: None)
        closed = client.close()
        self.network.advance(1)
        self.assertIsNone(self.result(closed))

    def test_a_peer_that_does_not_read_costs_bounded_memory(self) -> None:
        client, _ = self.greeted()
        self.network.stall(ADDRESS)
        calls = [client.call("n", "f", ["x" * 2**20]) for _ in range(70)]
        refused = [call for call in calls if call.called]
        self.assertTrue(4 <= len(refused) <= 6, len(refused))
        for call in refused:
            self.failureResultOf(call, NotSent)
        for call in calls:
            call.addErrback(lambda _: None)

    def test_neither_does_one_that_only_asks_whether_the_client_lives(self) -> None:
        client, server = self.greeted()
        (connection,) = self.network.connections(ADDRESS)
        connection.other.reading = False
        for _ in range(10):
            server.say(encode(Ping()) * 20_000)
            self.network.flush()
        ours = client._channel.link.connection
        assert ours is not None
        self.assertEqual(ours.outgoing.unsent, 0)
        connection.other.reading = True
        self.network.flush()
        self.assertEqual(server.received(), [Pong()] * 20_000)


class TimeTests(ClientTestCase):
    """Timeouts and keepalive, by the clock."""

    def test_a_call_times_out_and_its_late_answer_is_dropped(self) -> None:
        client, server = self.greeted(timeout=3.0)
        call = client.call("n", "f")
        self.network.advance(2.9)
        self.assertNoResult(call)
        self.network.advance(0.1)
        error = self.failure(call, CallTimeout)
        self.assertEqual(str(error), f"{ADDRESS} did not answer n/f within 3.0 s")
        server.say(Response(1, CLJ, 0, b"1"))
        self.network.flush()
        self.assertEqual(client.in_flight, 0)

    def test_each_call_has_its_own_deadline(self) -> None:
        client, _ = self.greeted()
        calls = {seconds: client.call("n", "f", timeout=seconds) for seconds in (3.0, 1.0, 2.0)}
        for seconds in (1.0, 2.0, 3.0):
            self.assertNoResult(calls[seconds])
            self.network.advance(1.0)
            self.failure(calls[seconds], CallTimeout)

    def test_a_call_that_waits_for_a_connection_times_out_as_not_sent(self) -> None:
        self.play()
        call = self.client().call("n", "f", timeout=1.0)
        self.network.advance(1.0)
        self.assertIn("no connection within 1.0 s", str(self.failure(call, NotSent)))

    def test_calls_that_are_answered_leave_no_timer_behind(self) -> None:
        client, server = self.greeted()
        for tid in range(1, 100):
            call = client.call("n", "f")
            self.network.flush()
            server.say(Response(tid, CLJ, 0, b"1"))
            self.result(call)
        self.assertEqual(len(self.network.reactor.getDelayedCalls()), 2)  # deadlines; keepalive

    def test_a_silent_peer_is_asked_and_then_given_up(self) -> None:
        client, server = self.greeted(keepalive=10.0)
        call = client.call("n", "f", timeout=60.0)
        self.network.flush()
        server.received()
        self.network.advance(5)
        self.assertEqual(server.received(), [Ping()])
        server.say(Pong())
        self.network.advance(5)
        self.assertEqual(server.received(), [])
        self.network.advance(5)
        self.assertEqual(server.received(), [Ping()])
        self.assertTrue(client.connected)
        self.network.advance(5)
        error = self.failure(call, ConnectionLost)
        self.assertIn("nothing came within 10.0 s", str(error))

    def test_a_busy_peer_is_not_asked(self) -> None:
        client, server = self.greeted(keepalive=10.0)
        for tid in range(1, 10):
            call = client.call("n", "f")
            self.network.advance(4)
            server.say(Response(tid, CLJ, 0, b"1"))
            self.result(call)
        self.assertNotIn(Ping(), server.received())

    def test_a_peer_that_takes_what_waited_for_it_lives_even_if_it_says_nothing(self) -> None:
        client, server = self.greeted(keepalive=10.0)
        [near] = self.network.connections(ADDRESS)
        near.other.reading = False
        call = client.call("n", "f", ["x" * 100_000], timeout=60.0)
        self.network.advance(5)  # here it is asked, behind what waits
        self.network.advance(4)
        near.other.reading = True
        self.network.advance(1)
        self.assertEqual([type(frame) for frame in server.received()], [Request, Ping])
        self.assertTrue(client.connected)
        self.assertNoResult(call)
        self.network.advance(5)
        self.assertEqual(server.received(), [Ping()])
        self.network.advance(5)
        self.failure(call, ConnectionLost)


class IdTests(ClientTestCase):
    def test_ids_wrap_and_skip_zero_and_those_still_pending(self) -> None:
        client, server = self.greeted()
        pending = client.call("n", "slow")
        client._channel.pending._next_id = 2**31 - 1
        calls = [client.call("n", "f") for _ in range(2)]
        client._channel.pending._next_id = -1
        calls += [client.call("n", "f") for _ in range(2)]
        self.network.flush()
        ids = [frame.tid for frame in server.received()]
        self.assertEqual(ids, [1, 2**31 - 1, -(2**31), -1, 2])
        for call in [pending, *calls]:
            call.addErrback(lambda _: None)


class CaptureTests(ClientTestCase):
    """What the real client sent, captured on the wire."""

    def test_inspect_and_calls_are_the_same_bytes(self) -> None:
        events = json.loads(SESSION.read_text())["session_normal"]["events"]
        sent = [event for event in events if event["dir"] == "C>S" and "frame" in event]
        theirs = {event["label"]: event["hex"] for event in sent}
        client, server = self.greeted()
        calls: dict[str, Callable[[], Deferred[Any]]] = {
            'inspect functions "slacker.example.api"': lambda: client.functions("slacker.example.api"),
            "inspect functions nil (all)": client.functions,
            "inspect meta slacker.example.api/rand-ints": lambda: client.meta(
                "slacker.example.api/rand-ints"
            ),
            "inspect clients": client.clients,
            "clj: call echo 1 arg": lambda: client.call("slacker.example.api", "echo", ["hi"]),
            "clj: call echo 2 args": lambda: client.call("slacker.example.api", "echo", [1, Keyword("b")]),
            "clj: call return-nil": lambda: client.call("slacker.example.api", "return-nil"),
            "json: call echo 2 args": lambda: client.call(
                "slacker.example.api", "echo", [1, "b"], content_type="json"
            ),
        }
        for label, call in calls.items():
            expected = bytes.fromhex(theirs[label])
            [frame] = Decoder().feed(expected)
            client._channel.pending._next_id = frame.tid
            call().addErrback(lambda _: None)
            self.network.flush()
            self.assertEqual([encode(sent).hex() for sent in server.received()], [expected.hex()], label)

    def test_a_hello_is_the_same_bytes_save_the_version_text(self) -> None:
        first = json.loads(SESSION.read_text())["session_normal"]["events"][0]
        self.assertEqual(first["frame"]["type"], "client-hello")
        theirs = first["frame"]["client_version"].encode()
        said: list[bytes] = []

        class Listening(Protocol):
            def dataReceived(self, data: bytes) -> None:
                said.append(data)

        factory = Factory.forProtocol(Listening)
        factory.noisy = False
        self.network.listen(ADDRESS, factory)
        self.client().connect()
        self.network.flush()
        ours = SOFTWARE.encode()
        expected = bytes.fromhex(first["hex"]).replace(
            len(theirs).to_bytes(2, "big") + theirs, len(ours).to_bytes(2, "big") + ours
        )
        self.assertIn(ours, expected)
        self.assertEqual(b"".join(said).hex(), expected.hex())
