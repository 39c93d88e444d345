"""A client that is held up itself: its timers are due before it has read what came meanwhile."""

from __future__ import annotations

from slacker.client.client import Client
from slacker.errors import NotSent
from slacker.testing import MemoryReactor
from slacker.wire import AuthAck, AuthRequest, ClientHello, Frame, Ping, Pong, ServerHello
from tests.client.test_client import ClientTestCase, PlayedServer


class TurningReactor(MemoryReactor):
    """Makes a call that a due call asks for in its next turn only, as real reactors do."""

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        for call in sorted(self.calls, key=lambda call: call.getTime()):
            if call.active() and call.getTime() <= self.seconds():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


class HeldUpTests(ClientTestCase):
    address = "127.0.0.1:2104"  # a token is shown to a server on this machine

    def setUp(self) -> None:
        super().setUp()
        self.network.reactor = TurningReactor()

    def connecting(self, **options: object) -> tuple[Client, PlayedServer]:
        self.play()
        client = self.client(**options)
        client.connect()
        self.network.flush()
        [server] = self.played
        self.assertEqual([type(frame) for frame in server.received()], [ClientHello])
        return client, server

    def hold_up(self, seconds: float, server: PlayedServer, *frames: Frame) -> None:
        """The client's process stands still, and the server says this meanwhile."""
        server.say(*frames)
        self.network.reactor.advance(seconds)
        for near in self.network.connections(self.address):
            near.other.step()
        self.network.flush()

    def test_an_answer_to_the_hello_counts_that_came_in_time(self) -> None:
        client, server = self.connecting()
        self.hold_up(60, server, ServerHello("0.18.0"))
        self.assertTrue(client.connected)

    def test_an_answer_to_the_token_counts_that_came_in_time(self) -> None:
        client, server = self.connecting(auth="billing:" + "s" * 43)
        server.say(ServerHello("0.18.0"))
        self.network.flush()
        self.assertEqual([type(frame) for frame in server.received()], [AuthRequest])
        self.hold_up(60, server, AuthAck(0, 0))
        self.assertTrue(client.connected)

    def test_an_answer_to_the_ping_of_keepalive_counts_that_came_in_time(self) -> None:
        client, server = self.connecting(keepalive=10.0)
        server.say(ServerHello("0.18.0"))
        self.network.advance(5)
        self.network.flush()
        self.assertEqual(server.received(), [Ping()])
        self.hold_up(60, server, Pong())
        self.assertTrue(client.connected)

    def test_without_an_answer_the_connection_is_given_up_all_the_same(self) -> None:
        client, server = self.connecting()
        call = client.call("n", "f")
        self.hold_up(1.5, server)
        self.assertIn("no answer to a hello", str(self.failure(call, NotSent)))
