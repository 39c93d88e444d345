"""What a server answers, byte for byte, to what a peer sends."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher

from slacker.content import BY_ID, loads
from slacker.server.functions import nonblocking
from slacker.server.limits import Limits
from slacker.server.pipeline import MOST_TEXT, MOST_TRACE, told_of
from slacker.wire import (
    AuthAck,
    AuthRequest,
    ClientHello,
    Error,
    Frame,
    InspectAck,
    Interrupt,
    Ping,
    Pong,
    Request,
    Response,
    ServerHello,
    encode,
)
from tests.server.peers import CLJ, JSON, MSGPACK, ServerTestCase, echo, make_error


class ServerConnectionTests(ServerTestCase):
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
                raise SystemExit

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

    def test_a_result_that_does_not_fit_beside_the_extensions_of_its_call_is_an_exception_that_says_so(
        self,
    ) -> None:
        big = {"f": lambda: "x" * 900}
        peer = self.serve({"m": big}, nonblocking({"r": big}), limits=Limits(max_frame=1000))
        extensions = ((16, b"1" * 100),)
        for namespace in "mr":
            [fits] = peer.ask(Request(1, CLJ, f"{namespace}/f", b""))
            self.assertEqual(self.result(fits), "x" * 900)
            [answer] = peer.ask(Request(1, CLJ, f"{namespace}/f", b"", extensions))
            assert isinstance(answer, Response)
            self.assertEqual((answer.code, answer.extensions), (12, extensions))
            self.assertIn(
                "902 bytes, beside the call's extensions, do not fit into a frame", loads("clj", answer.data)
            )

    def test_an_exceptions_text_is_cut_and_fits_into_a_frame(self) -> None:
        def fail() -> None:
            raise RuntimeError("é" * 200_000)

        for debug in (False, True):
            for limit, most in ((1000, 1000), (64, 64), (Limits().max_frame, 2 * MOST_TEXT + 2 * MOST_TRACE)):
                peer = self.serve(
                    {"m": {"f": fail}},
                    nonblocking({"r": {"f": fail}}),
                    debug=debug,
                    limits=Limits(max_frame=limit),
                )
                for namespace in "mr":
                    for kind in (CLJ, JSON, MSGPACK):
                        [answer] = peer.ask(Request(1, kind, f"{namespace}/f", b"", ((1, b"abc"),)))
                        assert isinstance(answer, Response)
                        self.assertEqual((answer.code, answer.extensions), (12, ((1, b"abc"),)))
                        self.assertLessEqual(len(encode(answer)), most)
                        text, _ = told_of(BY_ID[kind], answer.data)
                        if limit > 64:
                            self.assertRegex(text, r"^RuntimeError: é+… \(\d+ more characters are cut\)$")

    def test_of_a_long_stack_trace_the_end_is_told(self) -> None:
        def fail(depth: int) -> None:
            if depth:
                fails[depth % 2](depth - 1)
            raise RuntimeError("lines\n" * 1_000 + "x" * 100_000 + "\nend")

        def fail_too(depth: int) -> None:
            fail(depth)

        fails = [fail, fail_too]
        peer = self.serve({"m": {"f": fail}}, debug=True)
        [answer] = peer.ask(Request(1, CLJ, "m/f", b"[600]"))
        assert isinstance(answer, Response)
        _, lines = told_of(BY_ID[CLJ], answer.data)
        self.assertLess(sum(map(len, lines)), MOST_TRACE + 100)
        self.assertRegex(lines[0], r"^\(\d+ lines are cut here\)$")
        self.assertEqual(lines[-1], "end")

    def test_an_exceptions_text_is_logged_as_it_is_told(self) -> None:
        def fail() -> None:
            raise RuntimeError("x" * 200_000)

        logged: list[Any] = []
        observer: Any = logged.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.serve({"m": {"f": fail}}).ask(Request(1, CLJ, "m/f", b""))
        self.assertLess(max(len(formatEvent(event)) for event in logged), MOST_TEXT + 200)

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

    def test_a_call_whose_peer_has_gone_is_finished_for_nobody(self) -> None:
        waiting: Deferred[Any] = Deferred()
        peer = self.serve({"m": {"wait": nonblocking(lambda: waiting)}})
        peer.send(Request(1, CLJ, "m/wait", b""))
        peer.transport.abortConnection()
        waiting.callback(1)
        self.assertEqual(self.server.calls_running, 0)
        self.assertEqual(peer.answers(), [])
