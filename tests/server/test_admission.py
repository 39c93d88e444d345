"""What strangers get, who is let in, and what they may call: byte for byte, and in the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from slacker.content import dumps, loads
from slacker.content.values import Keyword
from slacker.interceptors import Interceptor
from slacker.interceptors.call import Call
from slacker.server import current_call, nonblocking
from slacker.server.admission import FAILURE_DELAY, MOST_FAILURES, STRANGERS_FRAME
from slacker.server.auth import Authenticator
from slacker.server.limits import Limits
from slacker.server.service import SlackerServer
from slacker.testing import Network
from slacker.wire import (
    AuthAck,
    AuthRequest,
    ClientHello,
    Error,
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
from tests.server.identities import HTTP_TOKEN, KNOWN, TOKEN
from tests.server.peers import CLJ, Peer

INVALID, DENIED, NOT_FOUND = 21, 22, 11


@implementer(ILogObserver)
class _Lines:
    """Keeps what is logged, as text."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def __call__(self, event: LogEvent) -> None:
        self._lines.append(formatEvent(event))


def name_of_caller() -> str:
    identity = current_call().peer.identity
    assert identity is not None
    return identity.name


class AdmissionTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.logged: list[str] = []
        observer = _Lines(self.logged)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.network = Network()
        self.clock = self.network.reactor
        self.server = self.new_server()
        self.peers: list[Peer] = []

    def tearDown(self) -> None:
        for peer in self.peers:
            peer.transport.lose(ConnectionDone())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        everything = repr(self.logged)
        for token in (TOKEN, HTTP_TOKEN):
            self.assertNotIn(token.partition(":")[2], everything)

    def new_server(self, **options: Any) -> SlackerServer:
        return self.network.serve(
            "10.0.0.1:2104",
            [
                nonblocking(
                    {
                        "shop": {"price": lambda: 3, "who": name_of_caller},
                        "stock.tea": {"left": lambda: 9},
                        "secret": {"plan": lambda: "x"},
                    }
                )
            ],
            auth=Authenticator(KNOWN),
            **options,
        )

    def peer(self, host: str = "127.0.0.1", *, tls: bool = False, certificate: str | None = None) -> Peer:
        peer = Peer(self.server, host, tls=tls, certificate=certificate)
        self.peers.append(peer)
        return peer

    def admitted(self) -> Peer:
        peer = self.peer()
        peer.send(AuthRequest(0, TOKEN))
        self.assertEqual(peer.answers(), [AuthAck(0, 0)])
        return peer

    def value(self, peer: Peer, function: str) -> Any:
        peer.send(Request(7, CLJ, function, b""))
        (answer,) = peer.answers()
        return loads("clj", answer.data) if isinstance(answer, Response) else answer

    def wait(self, seconds: float, peer: Peer) -> None:
        self.clock.advance(seconds)
        peer.pump()


class StrangerTests(AdmissionTestCase):
    def test_a_stranger_gets_hello_ping_and_refusals_and_the_connection_lives(self) -> None:
        peer = self.peer()
        peer.send(ClientHello("0.18.0", "x"), Ping(3), Request(4, CLJ, "shop/price", b""), Interrupt(1, 5))
        peer.send(
            *[InspectRequest(6, command, b"") for command in (0, 1, 2)],
            *[Request(7, CLJ, "no/such", b"", version=5), Request(8, 99, "shop/price", b"")],
            AuthRequest(9, TOKEN),
        )
        self.assertEqual(
            peer.answers(),
            [
                ServerHello(self.server.software),
                Pong(3),
                *[Error(tid, DENIED) for tid in (4, 5, 6, 6, 6)],
                *[Error(7, DENIED, 5), Error(8, DENIED), AuthAck(9, 0)],
            ],
        )
        self.assertEqual(self.value(peer, "shop/price"), 3)

    def test_a_packet_that_no_client_sends_is_refused_too(self) -> None:
        peer = self.peer()
        peer.send(Pong(1), AuthAck(2, 0), ServerHello("x", 3))
        self.assertEqual(peer.answers(), [Error(1, DENIED), Error(2, DENIED), Error(3, DENIED)])

    def test_a_token_that_is_no_ascii_is_an_invalid_packet(self) -> None:
        peer = self.peer()
        peer.send(b"\x06\x00\x00\x00\x01\x05\x00\x02\xff\xfe")
        self.assertEqual(peer.answers(), [Error(1, INVALID)])

    def test_of_a_frame_larger_than_a_hello_nothing_is_kept(self) -> None:
        peer = self.peer()
        peer.send(ClientHello("v" * 65_535, "n" * 65_535))
        self.assertEqual(peer.answers(), [ServerHello(self.server.software)])
        peer.send(encode(Request(7, CLJ, "shop/price", bytes(STRANGERS_FRAME)))[:100])
        self.assertEqual(peer.answers(), [Error(7, DENIED)])
        self.assertTrue(peer.lost)
        self.assertIn(
            "exceeds the limit of 131080 bytes; larger ones are read from those only who have shown who they",
            "\n".join(self.logged),
        )

    def test_who_is_let_in_may_send_larger_ones_and_is_told_of_the_limit_for_them(self) -> None:
        peer = self.admitted()
        peer.send(Request(7, CLJ, "shop/price", b"[" + b" " * STRANGERS_FRAME + b"]"))
        self.assertEqual(peer.answers(), [Response(7, CLJ, 0, b"3")])
        peer.send(encode(Request(8, CLJ, "shop/price", bytes(Limits().max_frame)))[:100])
        self.assertEqual(peer.answers(), [Error(8, INVALID)])
        self.assertIn("raise max_frame", "\n".join(self.logged))

    def test_a_smaller_limit_holds_for_strangers_too(self) -> None:
        self.server = self.new_server(limits=Limits(max_frame=1_000))
        peer = self.peer()
        peer.send(AuthRequest(1, "x" * 1_000))
        self.assertEqual(peer.answers(), [Error(1, DENIED)])

    def test_garbage_ends_the_connection(self) -> None:
        peer = self.peer()
        peer.send(b"\xff" * 100)
        self.assertTrue(peer.lost)

    def test_who_never_shows_who_it_is_is_closed_however_much_it_talks(self) -> None:
        peer, known = self.peer(), self.admitted()
        for _ in range(4):
            peer.send(Ping())
            known.send(Ping())
            self.clock.advance(Limits().frame_timeout / 2)
        self.assertTrue(peer.lost)
        self.assertFalse(known.lost)

    def test_a_server_without_auth_answers_tokens_as_packets_that_it_does_not_know(self) -> None:
        self.server = self.network.serve("10.0.0.1:2105", [nonblocking({"shop": {"price": lambda: 3}})])
        peer = self.peer()
        peer.send(AuthRequest(3, TOKEN))
        self.assertEqual(peer.answers(), [Error(3, INVALID)])
        self.assertEqual(self.value(peer, "shop/price"), 3)


class TokenTests(AdmissionTestCase):
    def test_an_identity_calls_its_namespaces_and_no_others(self) -> None:
        peer = self.admitted()
        self.assertEqual(self.value(peer, "shop/price"), 3)
        self.assertEqual(self.value(peer, "stock.tea/left"), 9)
        self.assertEqual(self.value(peer, "shop/who"), "billing")
        self.assertEqual(self.value(peer, "shop/missing"), Error(7, NOT_FOUND))
        for function in ("secret/plan", "secret/missing", "missing/x", "noslash", ""):
            self.assertEqual(self.value(peer, function), Error(7, DENIED), function)

    def test_it_is_told_of_its_namespaces_only(self) -> None:
        peer = self.admitted()
        for argument, expected in [("", ["shop/price", "shop/who", "stock.tea/left"]), ("secret", [])]:
            peer.send(InspectRequest(1, 0, dumps("clj", argument)))
            (answer,) = peer.answers()
            assert isinstance(answer, InspectAck)
            self.assertEqual(loads("clj", answer.data), expected)
        peer.send(InspectRequest(2, 1, dumps("clj", "secret/plan")))
        self.assertEqual(peer.answers(), [Error(2, DENIED)])
        peer.send(InspectRequest(3, 1, dumps("clj", "shop/price")))
        self.assertEqual([type(answer) for answer in peer.answers()], [InspectAck])

    def test_who_is_connected_is_told_only_to_those_who_may_call_everything(self) -> None:
        peer = self.admitted()
        peer.send(InspectRequest(1, 2, b""), InspectRequest(2, 2, b"", version=5))
        self.assertEqual(peer.answers(), [Error(1, DENIED), Error(2, DENIED, 5)])
        peer.send(AuthRequest(3, HTTP_TOKEN))
        peer.answers()
        peer.send(InspectRequest(4, 2, b""))
        (answer,) = peer.answers()
        assert isinstance(answer, InspectAck)
        [client] = loads("clj", answer.data)[Keyword("connected-clients")]
        self.assertEqual(client[Keyword("addr")], "/127.0.0.1:40001")

    def test_interceptors_see_no_call_of_a_stranger_and_cannot_widen_what_is_open(self) -> None:
        seen: list[str] = []

        class Rename(Interceptor):
            def pre(self, call: Call) -> None:
                seen.append(call.name)
                call.namespace, call.function = "secret", "plan"

        self.server = self.new_server(interceptors=[Rename()])
        stranger = self.peer()
        self.assertEqual(self.value(stranger, "shop/price"), Error(7, DENIED))
        self.assertEqual(seen, [])
        self.assertEqual(self.value(self.admitted(), "shop/price"), Error(7, DENIED))
        self.assertEqual(seen, ["shop/price"])

    def test_another_token_makes_it_another(self) -> None:
        peer = self.admitted()
        peer.send(AuthRequest(1, HTTP_TOKEN))
        self.assertEqual(peer.answers(), [AuthAck(1, 0)])
        self.assertEqual(self.value(peer, "secret/plan"), "x")

    def test_an_answer_is_in_the_version_of_the_request(self) -> None:
        peer = self.peer()
        peer.send(AuthRequest(1, TOKEN, version=5))
        self.assertEqual(peer.answers(), [AuthAck(1, 0, 5)])

    def test_a_wrong_token_is_rejected_after_a_while_in_which_nothing_is_read(self) -> None:
        peer = self.peer()
        peer.send(AuthRequest(1, TOKEN + "x"))
        self.assertEqual(peer.answers(), [])
        peer.send(Ping(2))
        self.wait(FAILURE_DELAY - 0.01, peer)
        self.assertEqual(peer.answers(), [])
        self.wait(0.01, peer)
        self.assertEqual(peer.answers(), [AuthAck(1, 1), Pong(2)])
        peer.send(AuthRequest(3, TOKEN))
        self.assertEqual(peer.answers(), [AuthAck(3, 0)])

    def test_after_some_wrong_tokens_the_connection_is_closed(self) -> None:
        peer = self.peer()
        for attempt in range(MOST_FAILURES):
            peer.send(AuthRequest(attempt, "billing:wrong"))
            self.wait(FAILURE_DELAY, peer)
            self.assertEqual(peer.answers(), [AuthAck(attempt, 1)])
        self.assertTrue(peer.lost)

    def test_thousands_of_tokens_at_once_are_as_few_attempts(self) -> None:
        peer = self.peer()
        peer.send(*[AuthRequest(n, "x:y") for n in range(5_000)], AuthRequest(1, TOKEN))
        self.assertEqual(len([line for line in self.logged if "nobody's" in line]), MOST_FAILURES)
        self.wait(FAILURE_DELAY, peer)
        self.assertEqual(peer.answers(), [AuthAck(n, 1) for n in range(MOST_FAILURES)])
        self.assertTrue(peer.lost)

    def test_the_largest_tokens_are_rejected_as_others_are(self) -> None:
        peer = self.peer()
        peer.send(AuthRequest(1, "x" * 65_535), AuthRequest(2, "billing:" + "y" * 65_000))
        self.wait(FAILURE_DELAY, peer)
        self.assertEqual(peer.answers(), [AuthAck(1, 1), AuthAck(2, 1)])

    def test_one_that_goes_while_it_waits_leaves_nothing_behind(self) -> None:
        peer = self.peer()
        peer.send(AuthRequest(1, "x:y"))
        peer.transport.lose(ConnectionDone())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class EncryptionTests(AdmissionTestCase):
    def test_a_token_from_afar_is_not_accepted_without_tls_and_the_log_says_so(self) -> None:
        peer = self.peer("10.0.0.9")
        peer.send(AuthRequest(1, TOKEN))
        self.wait(FAILURE_DELAY, peer)
        self.assertEqual(peer.answers(), [Error(1, DENIED)])
        self.assertIn("10.0.0.9:40001 is not let in: it sent a token without TLS", "\n".join(self.logged))
        self.assertEqual(self.value(peer, "shop/price"), Error(7, DENIED))

    def test_over_tls_it_is(self) -> None:
        peer = self.peer("10.0.0.9", tls=True)
        peer.send(AuthRequest(1, TOKEN))
        self.assertEqual(peer.answers(), [AuthAck(1, 0)])

    def test_the_name_in_a_certificate_lets_in_without_a_token(self) -> None:
        from tests.certificates import Authority

        folder = Path(self.mktemp())
        folder.mkdir()
        authority = Authority(folder)
        for names in [
            {"name": "billing.example"},
            {"name": "x", "hosts": ["a.example", "billing.example", "10.0.0.9"]},
        ]:
            peer = self.peer("10.0.0.9", tls=True, certificate=authority.issue(**names)[0])  # type: ignore[arg-type]  # a dict of both kinds
            self.assertEqual(self.value(peer, "shop/who"), "billing.example")
            self.assertEqual(self.value(peer, "stock.tea/left"), Error(7, DENIED))
        for name in ("other.example", "billing"):
            peer = self.peer("10.0.0.9", tls=True, certificate=authority.issue(name)[0])
            self.assertEqual(self.value(peer, "shop/who"), Error(7, DENIED))
        peer.send(AuthRequest(1, TOKEN))
        self.assertEqual(peer.answers(), [AuthAck(1, 0)])
