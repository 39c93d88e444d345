"""What a server tells of itself."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from slacker.content import loads
from slacker.content.values import Keyword, Symbol
from slacker.testing import Network
from slacker.wire import ClientHello, Error, InspectAck, InspectRequest, Ping, Pong
from tests.server.peers import Peer, echo, make_error


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
