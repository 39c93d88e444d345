"""What a server answers, byte for byte, to what a peer sends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from slacker.content import loads
from slacker.content.values import Keyword, Symbol
from slacker.server.context import current_call
from slacker.server.functions import Exposable, nonblocking
from slacker.server.limits import Limits
from slacker.server.service import SlackerServer
from slacker.testing import MemoryTransport, Network
from slacker.wire import (
    AuthAck,
    AuthRequest,
    ClientHello,
    Decoder,
    Error,
    Frame,
    InspectAck,
    InspectRequest,
    Interrupt,
    Ping,
    Pong,
    Request,
    Response,
    ServerHello,
    encode,
)

VECTORS = Path(__file__).parent.parent / "vectors"
CLJ, JSON, MSGPACK = 2, 1, 30


def echo(x: Any, y: Any = None) -> Any:
    return x if y is None else [x, y]


def make_error() -> None:
    raise RuntimeError("Expected exception.")


class Peer:
    """The other end of a server's connection: sends frames or bytes, and collects the answers."""

    def __init__(self, server: SlackerServer) -> None:
        self.received = b""
        self.lost = False
        self._decoder = Decoder()
        local, remote = IPv4Address("TCP", "10.0.0.1", 2104), IPv4Address("TCP", "10.0.0.9", 40_001)
        self.connection = server.factory.buildProtocol(remote)
        self.transport = MemoryTransport(self, remote, local)  # type: ignore[arg-type]  # as much as it needs
        far = MemoryTransport(self.connection, local, remote)
        self.transport.other, far.other = far, self.transport
        self.connection.makeConnection(far)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: object) -> None:
        self.lost = True

    def send(self, *frames: Frame | bytes) -> None:
        data = b"".join(frame if isinstance(frame, bytes) else encode(frame) for frame in frames)
        self.transport.write(data)
        self.pump()

    def pump(self) -> None:
        while self.transport.step() or self.transport.other.step():
            pass

    def answers(self) -> list[Frame]:
        data, self.received = self.received, b""
        return self._decoder.feed(data)

    def ask(self, *frames: Frame | bytes) -> list[Frame]:
        self.send(*frames)
        return self.answers()


class ServerConnectionTests(SynchronousTestCase):
    def serve(self, *exposed: Exposable, **options: Any) -> Peer:
        self.network = Network()
        functions: list[Exposable] = [{"n": {"echo": echo, "make-error": make_error}}]
        self.server = self.network.serve("10.0.0.1:2104", [*functions, *exposed], **options)
        return Peer(self.server)

    def result(self, frame: Frame) -> Any:
        assert isinstance(frame, Response), frame
        self.assertEqual(frame.code, 0)
        return loads("clj", frame.data)

    # Calls

    def test_a_call_is_answered_in_its_version_and_content_type(self) -> None:
        peer = self.serve()
        self.assertEqual(
            peer.ask(
                Request(1, CLJ, "n/echo", b'["x"]'),
                Request(-5, CLJ, "n/echo", b"[1 2]", version=5),
                Request(3, JSON, "n/echo", b'[{"a":1}]'),
                Request(4, MSGPACK, "n/echo", b"\x91\x07"),
            ),
            [
                Response(1, CLJ, 0, b'"x"'),
                Response(-5, CLJ, 0, b"[1 2]", version=5),
                Response(3, JSON, 0, b'{"a":1}'),
                Response(4, MSGPACK, 0, b"\x07"),
            ],
        )

    def test_both_kinds_of_functions_answer_alike(self) -> None:
        peer = self.serve(nonblocking({"r": {"echo": echo, "make-error": make_error}}))
        for name in ["echo", "make-error", "none"]:
            a, b = peer.ask(Request(1, CLJ, f"n/{name}", b"[1]"), Request(1, CLJ, f"r/{name}", b"[1]"))
            self.assertEqual(a, b)

    def test_no_payload_and_nil_mean_no_arguments(self) -> None:
        peer = self.serve({"m": {"count": lambda *args: len(args)}})
        answers = peer.ask(Request(1, CLJ, "m/count", b""), Request(2, CLJ, "m/count", b"nil"))
        self.assertEqual([self.result(answer) for answer in answers], [0, 0])

    def test_extensions_come_back(self) -> None:
        peer = self.serve()
        extensions = ((16, b'"a"'), (-1, b"1"))
        self.assertEqual(
            peer.ask(Request(1, CLJ, "n/echo", b"[1]", extensions)), [Response(1, CLJ, 0, b"1", extensions)]
        )

    def test_of_an_extension_that_comes_twice_the_last_comes_back(self) -> None:
        [answer] = self.serve().ask(Request(1, CLJ, "n/echo", b"[1]", ((16, b"1"), (17, b"2"), (16, b"3"))))
        self.assertEqual(answer, Response(1, CLJ, 0, b"1", ((16, b"3"), (17, b"2"))))

    def test_an_exception_is_told_as_text(self) -> None:
        [answer] = self.serve().ask(Request(1, CLJ, "n/make-error", b"[]"))
        self.assertEqual(answer, Response(1, CLJ, 12, b'"RuntimeError: Expected exception."'))

    def test_every_kind_of_exception_is_told(self) -> None:
        class Awkward(Exception):
            def __str__(self) -> str:
                raise ValueError

        def failing(error: BaseException) -> Any:
            def function() -> None:
                raise error

            return function

        kinds = {
            "a": (ValueError(), "ValueError"),
            "b": (
                Awkward(),
                f"{__name__}.ServerConnectionTests.test_every_kind_of_exception_is_told.<locals>.Awkward",
            ),
            "c": (SystemExit(3), "SystemExit: 3"),
            "d": (KeyError("\ud800"), "KeyError: '\\ud800'"),
            "e": (ValueError("\ud800"), "ValueError: ?"),
        }
        functions = {name: failing(error) for name, (error, _) in kinds.items()}
        peer = self.serve({"m": functions}, nonblocking({"r": functions}))
        for name, (_, text) in kinds.items():
            for namespace in "mr":
                [answer] = peer.ask(Request(1, CLJ, f"{namespace}/{name}", b""))
                assert isinstance(answer, Response)
                self.assertEqual((answer.code, loads("clj", answer.data)), (12, text))

    def test_a_wrong_number_of_arguments_is_an_exception(self) -> None:
        [answer] = self.serve().ask(Request(1, CLJ, "n/echo", b"[1 2 3]"))
        assert isinstance(answer, Response)
        self.assertEqual(answer.code, 12)
        self.assertIn("TypeError", loads("clj", answer.data))

    def test_arguments_that_cannot_be_read_are_an_exception_that_names_the_function(self) -> None:
        peer = self.serve()
        for data in [b"[1", b"5", b"{:a 1}", b'"ab"', b"[1] zzz", b"\xff"]:
            [answer] = peer.ask(Request(1, CLJ, "n/echo", data))
            assert isinstance(answer, Response)
            self.assertEqual(answer.code, 12)
            self.assertIn("arguments of n/echo", loads("clj", answer.data))

    def test_a_result_that_cannot_be_written_is_an_exception_that_names_the_function(self) -> None:
        peer = self.serve({"m": {"f": object}}, nonblocking({"r": {"f": object}}))
        for namespace in "mr":
            [answer] = peer.ask(Request(1, CLJ, f"{namespace}/f", b""))
            assert isinstance(answer, Response)
            self.assertEqual(answer.code, 12)
            self.assertIn(f"result of {namespace}/f", loads("clj", answer.data))

    def test_a_result_that_does_not_fit_into_a_frame_is_an_exception_that_says_so(self) -> None:
        big = {"f": lambda: "x" * 1000}
        peer = self.serve({"m": big}, nonblocking({"r": big}), limits=Limits(max_frame=1000))
        for namespace in "mr":
            [answer] = peer.ask(Request(1, CLJ, f"{namespace}/f", b""))
            assert isinstance(answer, Response)
            self.assertEqual(answer.code, 12)
            self.assertIn("1002 bytes do not fit into a frame of 1000", loads("clj", answer.data))

    def test_a_deferred_from_a_worker_is_an_exception_that_says_what_to_do(self) -> None:
        async def coroutine() -> None: ...

        def wrapped() -> Any:
            return coroutine()

        peer = self.serve({"m": {"d": Deferred, "c": wrapped}})
        for name in "dc":
            [answer] = peer.ask(Request(1, CLJ, f"m/{name}", b""))
            assert isinstance(answer, Response)
            self.assertIn("@nonblocking", loads("clj", answer.data))

    def test_an_unknown_function_is_not_found_and_harms_no_other_call(self) -> None:
        self.assertEqual(
            self.serve().ask(
                Request(1, CLJ, "n/nope", b"[1]"),
                Request(2, CLJ, "nope", b"[1]", version=5),
                Request(3, CLJ, "n/echo", b"[1]"),
            ),
            [Error(1, 11), Error(2, 11, version=5), Response(3, CLJ, 0, b"1")],
        )

    def test_a_namespaces_own_handler_takes_calls_of_missing_functions(self) -> None:
        peer = self.serve({"m": {"-slacker-function-not-found": lambda name, args: [name, args]}})
        [answer] = peer.ask(Request(1, CLJ, "m/no-such", b"[1 2]"))
        self.assertEqual(self.result(answer), ["no-such", [1, 2]])

    def test_an_unknown_content_type_is_an_invalid_packet(self) -> None:
        peer = self.serve()
        self.assertEqual(
            peer.ask(*[Request(4, kind, "n/echo", b"[1]") for kind in (0, 12, 99)]), [Error(4, 21)] * 3
        )

    def test_functions_that_a_peer_may_not_call_are_refused(self) -> None:
        peer = self.serve()
        self.server.functions.add({"secret": {"f": echo}}, allow=lambda peer: peer.loopback)
        self.assertEqual(peer.ask(Request(1, CLJ, "secret/f", b"[1]")), [Error(1, 22)])
        peer.connection.peer.loopback = True
        self.assertEqual(peer.ask(Request(1, CLJ, "secret/f", b"[1]")), [Response(1, CLJ, 0, b"1")])

    # Calls that take their time

    def test_answers_come_in_the_order_in_which_calls_end(self) -> None:
        waiting: dict[Any, Deferred[Any]] = {}

        @nonblocking
        def wait(x: Any) -> Deferred[Any]:
            waiting[x] = Deferred()
            return waiting[x]

        async def wait_too(x: Any) -> Any:
            return [await wait(x)]

        peer = self.serve({"m": {"wait": wait, "wait-too": wait_too}})
        peer.send(Request(1, CLJ, "m/wait", b"[1]"), Request(2, CLJ, "m/wait-too", b"[2]"))
        self.assertEqual(peer.answers(), [])
        self.assertEqual(self.server.calls_running, 2)
        waiting[2].callback("b")
        waiting[1].errback(ValueError("a"))
        peer.pump()
        self.assertEqual(
            peer.answers(), [Response(2, CLJ, 0, b'["b"]'), Response(1, CLJ, 12, b'"ValueError: a"')]
        )
        self.assertEqual(self.server.calls_running, 0)

    def test_a_deferred_whose_result_cannot_be_written_is_an_exception(self) -> None:
        async def strange() -> object:
            return object()

        [answer] = self.serve({"m": {"f": strange}}).ask(Request(1, CLJ, "m/f", b""))
        assert isinstance(answer, Response)
        self.assertEqual(answer.code, 12)

    def test_an_id_that_is_used_twice_is_answered_twice(self) -> None:
        waiting: list[Deferred[Any]] = []

        @nonblocking
        def wait() -> Deferred[Any]:
            waiting.append(Deferred())
            return waiting[-1]

        peer = self.serve({"m": {"wait": wait}})
        peer.send(Request(4, CLJ, "m/wait", b""), Request(4, CLJ, "m/wait", b""))
        waiting[1].callback(2)
        waiting[0].callback(1)
        peer.pump()
        self.assertEqual(peer.answers(), [Response(4, CLJ, 0, b"2"), Response(4, CLJ, 0, b"1")])
        self.assertEqual(self.server.calls_running, 0)

    def test_a_full_pool_refuses_and_the_connection_lives(self) -> None:
        peer = self.serve(threads=1, queue_size=1)
        self.server.workers.held = True  # type: ignore[attr-defined]
        peer.send(*[Request(tid, CLJ, "n/echo", b"[1]") for tid in (1, 2, 3, 4)])
        self.assertEqual(peer.answers(), [Error(3, 13), Error(4, 13)])
        self.server.workers.run()  # type: ignore[attr-defined]
        peer.pump()
        self.assertEqual(peer.answers(), [Response(1, CLJ, 0, b"1"), Response(2, CLJ, 0, b"1")])

    def test_calls_in_flight_are_limited_per_connection(self) -> None:
        peer = self.serve(limits=Limits(max_in_flight=2))
        self.server.workers.held = True  # type: ignore[attr-defined]
        peer.send(*[Request(tid, CLJ, "n/echo", b"[1]") for tid in (1, 2, 3)])
        self.assertEqual(peer.answers(), [Error(3, 13)])
        other = Peer(self.server)
        other.send(Request(1, CLJ, "n/echo", b"[1]"))
        self.assertEqual(other.answers(), [])

    # Interrupts

    def test_an_interrupted_deferred_is_cancelled_and_the_call_ends_as_canceled(self) -> None:
        waiting: Deferred[Any] = Deferred()
        peer = self.serve({"m": {"wait": nonblocking(lambda: waiting)}})
        self.assertEqual(peer.ask(Request(7, CLJ, "m/wait", b""), Interrupt(7)), [Error(7, 14)])
        self.assertTrue(waiting.called)
        self.assertEqual(peer.ask(Interrupt(7), Ping()), [Pong()])

    def test_an_interrupted_call_in_the_queue_never_runs(self) -> None:
        ran: list[int] = []
        peer = self.serve({"m": {"run": ran.append}})
        self.server.workers.held = True  # type: ignore[attr-defined]
        self.assertEqual(peer.ask(Request(7, CLJ, "m/run", b"[1]"), Interrupt(7)), [Error(7, 14)])
        self.server.workers.run()  # type: ignore[attr-defined]
        self.assertEqual(ran, [])
        self.assertEqual(self.server.calls_running, 0)

    # Everything else

    def test_hello_and_ping_are_answered_with_their_id_and_version(self) -> None:
        peer = self.serve()
        self.assertEqual(
            peer.ask(ClientHello("0.18.0", "me", 77), Ping(42), Ping(-7, 5)),
            [ServerHello(self.server.software, 77), Pong(42), Pong(-7, 5)],
        )
        self.assertTrue(self.server.software.startswith("txslacker/"))

    def test_packets_that_make_no_sense_to_a_server_are_invalid(self) -> None:
        peer = self.serve()
        frames: list[Frame | bytes] = [
            Pong(8),
            Response(8, CLJ, 0, b"1"),
            Error(8, 11),
            AuthRequest(8, "u:p"),
            AuthAck(8, 0),
            InspectAck(8, b"1"),
            ServerHello("1", 8),
            bytes.fromhex("060000000800020002c3280000000000"),  # a name that is no UTF-8
        ]
        self.assertEqual(peer.ask(*frames), [Error(8, 21)] * len(frames))
        self.assertEqual(peer.ask(Ping(1)), [Pong(1)])

    def test_what_cannot_be_followed_is_answered_with_an_error_and_closed(self) -> None:
        for data, answer in [
            (b"GET / HTTP/1.0\r\n\r\n", Error(int.from_bytes(b"ET /"[:4], "big"), 20)),
            (bytes.fromhex("06000000010c"), Error(1, 21)),
            (bytes.fromhex("050000000b0a00000000"), Error(11, 21, 5)),
            (encode(Request(9, CLJ, "n/echo", b"x" * 2000)), Error(9, 21)),
        ]:
            peer = self.serve(limits=Limits(max_frame=1000))
            self.assertEqual(peer.ask(Ping(1), data), [Pong(1), answer])
            self.assertTrue(peer.lost)
            self.assertEqual(self.server.connections, set())

    def test_all_answers_of_one_read_leave_in_one_write(self) -> None:
        peer = self.serve(nonblocking({"r": {"echo": echo}}))
        peer.transport.write(b"".join(encode(Request(tid, CLJ, "r/echo", b"[1]")) for tid in range(1, 50)))
        peer.transport.step()
        self.assertEqual(len(peer.transport.other._written), 1)

    def test_a_peer_that_does_not_read_is_not_read(self) -> None:
        peer = self.serve(nonblocking({"r": {"big": lambda: "x" * 100_000}}))
        peer.transport.reading = False
        for tid in range(1, 4):
            peer.send(Request(tid, CLJ, "r/big", b""))
        self.assertFalse(peer.transport.other.reading)
        self.assertEqual(len(peer.transport.other._written), 1)
        peer.transport.reading = True
        peer.pump()
        self.assertEqual(len(peer.answers()), 3)

    def test_a_peer_whose_arguments_wait_for_workers_is_not_read_beyond_a_limit(self) -> None:
        peer = self.serve(limits=Limits(max_unanswered=1000))
        self.server.workers.held = True  # type: ignore[attr-defined]
        data = b'["' + b"x" * 600 + b'"]'
        peer.send(Request(1, CLJ, "n/echo", data))
        self.assertTrue(peer.transport.other.reading)
        peer.send(Request(2, CLJ, "n/echo", data))
        self.assertFalse(peer.transport.other.reading)
        self.server.workers.run()  # type: ignore[attr-defined]
        self.assertTrue(peer.transport.other.reading)
        peer.pump()
        self.assertEqual(len(peer.answers()), 2)

    def test_a_peer_that_never_reads_is_closed_beyond_a_limit(self) -> None:
        waiting: list[Deferred[Any]] = []

        @nonblocking
        def wait() -> Deferred[Any]:
            waiting.append(Deferred())
            return waiting[-1]

        peer = self.serve({"m": {"wait": wait}}, limits=Limits(max_unsent=500_000))
        peer.transport.reading = False
        peer.send(*[Request(tid, CLJ, "m/wait", b"") for tid in range(1, 11)])
        for deferred in waiting:
            deferred.callback("x" * 100_000)
        self.assertTrue(peer.lost)
        self.assertEqual(self.server.calls_running, 0)

    def test_a_peer_that_says_nothing_is_closed(self) -> None:
        peer = self.serve(limits=Limits(frame_timeout=30.0))
        for _ in range(2):
            self.assertFalse(peer.lost)
            self.network.advance(15)
        self.assertTrue(peer.lost)
        self.assertEqual(self.network.reactor.getDelayedCalls(), [])

    def test_a_peer_that_trickles_is_closed_and_one_that_goes_on_is_not(self) -> None:
        trickler, honest = self.serve(limits=Limits(frame_timeout=30.0)), Peer(self.server)
        frame = encode(Request(1, CLJ, "n/echo", b"[1]"))
        for index in range(12):
            if not trickler.lost:
                trickler.send(frame[index : index + 1])
            honest.send(frame[10:] + frame[:10] if index else frame[:10])
            self.network.advance(5)
        self.assertTrue(trickler.lost)
        self.assertFalse(honest.lost)
        self.assertEqual(len(honest.answers()), 11)

    def test_connections_are_limited(self) -> None:
        self.serve(limits=Limits(max_connections=1))
        self.assertTrue(Peer(self.server).lost)
        self.server.connections.clear()
        self.assertFalse(Peer(self.server).lost)

    def test_a_call_whose_peer_has_gone_is_finished_for_nobody(self) -> None:
        waiting: Deferred[Any] = Deferred()
        peer = self.serve({"m": {"wait": nonblocking(lambda: waiting)}})
        peer.send(Request(1, CLJ, "m/wait", b""))
        peer.transport.abortConnection()
        waiting.callback(1)
        self.assertEqual(self.server.calls_running, 0)
        self.assertEqual(peer.answers(), [])


class InspectionTests(SynchronousTestCase):
    """Inspect requests are answered in EDN."""

    def setUp(self) -> None:
        self.network = Network()
        self.server = self.network.serve(
            "10.0.0.1:2104", [{"n": {"echo": echo, "fail": make_error}, "m": {"f": echo}}]
        )
        self.peer = Peer(self.server)

    def inspect(self, command: int, argument: bytes, version: int = 6) -> Any:
        [answer] = self.peer.ask(InspectRequest(5, command, argument, version))
        assert isinstance(answer, InspectAck), answer
        self.assertEqual((answer.tid, answer.version), (5, version))
        return loads("clj", answer.data)

    def test_functions_are_listed_by_prefix(self) -> None:
        self.assertEqual(self.inspect(0, b'"n"'), ["n/echo", "n/fail"])
        for everything in [b"nil", b"", b'""']:
            self.assertEqual(self.inspect(0, everything), ["n/echo", "n/fail", "m/f"])
        self.assertEqual(self.inspect(0, b'"zzz"', version=5), [])

    def test_meta_is_the_functions_or_empty(self) -> None:
        found = self.inspect(1, b'"n/echo"')
        self.assertEqual(found[Keyword("name")], Symbol("echo"))
        self.assertEqual(found[Keyword("arglists")], [[Symbol("x")], [Symbol("x"), Symbol("y")]])
        self.assertEqual(self.inspect(1, b'"a/b"'), {})
        self.assertEqual(self.inspect(1, b"nil"), {})

    def test_clients_are_shown_with_what_they_said_of_themselves(self) -> None:
        self.peer.send(ClientHello("0.18.0", "reporting"))
        self.peer.answers()
        shown = self.inspect(2, b"nil")
        [client] = shown[Keyword("connected-clients")]
        self.assertEqual(client[Keyword("addr")], "/10.0.0.9:40001")
        self.assertEqual(client[Keyword("name")], "reporting")
        self.assertEqual(client[Keyword("version")], "0.18.0")
        self.assertEqual(shown[Keyword("version")], self.server.software)
        self.assertEqual(shown[Keyword("started-on")], self.server.started_on)

    def test_what_cannot_be_answered_is_an_invalid_packet_and_the_connection_lives(self) -> None:
        for command, argument in [(3, b"nil"), (0, b"real.test"), (0, b"5"), (0, b"("), (1, b"\xff")]:
            self.assertEqual(self.peer.ask(InspectRequest(3, command, argument)), [Error(3, 21)])
        self.assertEqual(self.peer.ask(Ping(1)), [Pong(1)])

    def test_an_answer_beyond_65535_bytes_is_cut(self) -> None:
        names = {f"function-{number:06d}": echo for number in range(10_000)}
        server = self.network.serve("10.0.0.2:2104", [{"big": names}])
        [answer] = Peer(server).ask(InspectRequest(1, 0, b"nil"))
        assert isinstance(answer, InspectAck)
        shown = loads("clj", answer.data)
        self.assertGreater(len(answer.data), 60_000)
        self.assertEqual(shown, [f"big/{name}" for name in names][: len(shown)])


class CaptureTests(SynchronousTestCase):
    """The real server's answers to the same bytes, captured on the wire."""

    def setUp(self) -> None:
        def rand_ints(n: int) -> list[int]:
            """test collection result"""
            return [n]

        capture = json.loads((VECTORS / "session.json").read_text())
        self.raw = {case["name"]: case["steps"] for case in capture["raw_tcp_0.16"]}
        self.hello = {case["name"]: case["steps"] for case in capture["raw_tcp_0.18"]}[
            "client-hello v6 tid 0"
        ]
        api: dict[str, Any] = {"echo": echo, "rand-ints": rand_ints, "return-nil": lambda: None}
        # What the captured server's real.test/ext does: tell the extensions that it got.
        extensions = {"ext": lambda: dict(current_call().extensions)}
        server = Network().serve("10.0.0.1:2104", [{"slacker.example.api": api, "real.test": extensions}])
        self.software = server.software
        self.peer = Peer(server)

    def replay(self, name: str) -> None:
        for step in self.raw[name]:
            self.peer.send(bytes.fromhex(step["sent"]))
            received, self.peer.received = self.peer.received, b""
            self.assertEqual(received.hex(), step["received"], name)

    def test_calls_pings_meta_and_nonsense_are_answered_with_the_same_bytes(self) -> None:
        for name in [
            "ping v6 tid 42",
            "ping v5 tid -7",
            "pong sent to server",
            "call without hello",
            "call v5",
            "mixed v5 then v6 on one connection",
            "call negative tid",
            "call split in 3 segments",
            "call byte-by-byte",
            "two calls in one segment",
            "args nil",
            "empty payload clj",
            "empty json payload",
            "json args",
            "type-response sent to server",
            "type-error sent to server",
            "auth-req",
            "auth-req v5",
            "auth-ack",
            "inspect-ack sent to server",
            "inspect meta",
            "inspect meta nil",
            "interrupt for idle tid",
            "interrupt v5 for idle tid",
        ]:
            self.replay(name)

    def test_inspected_functions_are_the_same_in_the_same_frame(self) -> None:
        """In Clojure's lists they stand in the order of their hashes, and in ours as they were exposed."""
        exposed: dict[str, dict[str, Any]] = {}
        for name in self.listed(bytes.fromhex(self.raw["inspect functions nil"][0]["received"])):
            namespace, _, function = name.partition("/")
            exposed.setdefault(namespace, {})[function] = echo
        self.peer = Peer(Network().serve("10.0.0.1:2104", [exposed]))
        for name in [
            "inspect functions prefix",
            "inspect functions nil",
            "inspect functions empty payload",
            "inspect v5",
        ]:
            [step] = self.raw[name]
            theirs = bytes.fromhex(step["received"])
            self.peer.received = b""
            self.peer.send(bytes.fromhex(step["sent"]))
            ours = self.peer.received
            head = 8  # version, id, type, length
            self.assertEqual((ours[:head].hex(), len(ours)), (theirs[:head].hex(), len(theirs)), name)
            self.assertCountEqual(self.listed(ours), self.listed(theirs), name)

    def listed(self, data: bytes) -> list[str]:
        """The functions in the bytes of an answer."""
        [answer] = Decoder().feed(data)
        assert isinstance(answer, InspectAck)
        names: list[str] = loads("clj", answer.data)
        return names

    def test_extensions_come_back_as_they_do_there(self) -> None:
        """Seen by the function and echoed; save that ours stand in the order in which they came."""
        for name in ["extensions echoed back?", "duplicate extension id"]:
            self.replay(name)
        for name in ["10 extensions", "127 extensions"]:
            [step] = self.raw[name]
            self.peer.send(bytes.fromhex(step["sent"]))
            [ours], [theirs] = self.peer.answers(), Decoder().feed(bytes.fromhex(step["received"]))
            assert isinstance(ours, Response) and isinstance(theirs, Response)
            self.assertEqual(loads("clj", ours.data), loads("clj", theirs.data), name)
            self.assertCountEqual(ours.extensions, theirs.extensions, name)
            ours.data, ours.extensions = theirs.data, theirs.extensions
            self.assertEqual(ours, theirs, name)

    def test_not_found_in_version_5_is_answered_in_version_5_unlike_there(self) -> None:
        """0.16 answers it in version 6, where a peer of version 5 need not understand it; ours does not."""
        [step] = self.raw["not-found v5"]
        theirs = bytes.fromhex(step["received"])
        self.peer.send(bytes.fromhex(step["sent"]))
        self.assertEqual((theirs[0], self.peer.received[0]), (6, 5))
        self.assertEqual(self.peer.received[1:].hex(), theirs[1:].hex())

    def test_a_hello_is_answered_alike_save_the_version_text(self) -> None:
        [step] = self.hello
        self.peer.send(bytes.fromhex(step["sent"]))
        [ours], [theirs] = self.peer.answers(), Decoder().feed(bytes.fromhex(step["received"]))
        assert isinstance(ours, ServerHello) and isinstance(theirs, ServerHello)
        theirs.software = self.software
        self.assertEqual(ours, theirs)

    def test_not_found_is_answered_as_0_16_does(self) -> None:
        for name in [
            "not-found v6 (no handler)",
            "not-found unknown ns",
            "fname without slash",
            "empty fname",
        ]:
            self.replay(name)
