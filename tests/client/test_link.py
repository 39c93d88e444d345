"""The way to one server that is held up, replaced, or does not stay."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener

from slacker.client.client import Client
from slacker.client.connection import SOFTWARE
from slacker.errors import NotSent
from slacker.wire import AuthAck, AuthRequest, ClientHello, Frame, Ping, Pong, ServerHello, encode
from tests.client.test_client import ClientTestCase, PlayedServer

HELLO = ClientHello(SOFTWARE, "")
TOKEN = "billing:" + "s" * 43


class LinkTestCase(ClientTestCase):
    def connected(self, **options: Any) -> Client:
        """A client of played servers that begins to connect."""
        self.play()
        client = self.client(**options)
        client.connect()
        return client

    def next_server(self, *greeting: Frame) -> PlayedServer:
        """The next that is connected to, which is greeted so."""
        while not self.played:
            self.network.advance(0.05)
        server = self.played.pop(0)
        self.network.flush()
        self.assertEqual(server.received(), [*greeting])
        return server

    def does_not_answer(self) -> None:
        self.network.advance(1.5)

    def answers(self, server: PlayedServer, *frames: Frame) -> None:
        server.say(*frames)
        self.network.flush()


class HelloTests(LinkTestCase):
    """Who answers a ping, but no hello, may be old, or was held up."""

    def test_a_server_that_was_held_up_is_asked_with_a_hello_again(self) -> None:
        client = self.connected()
        self.answers(self.next_server(HELLO), ServerHello("txslacker/9"))
        self.network.cut(self.address)
        self.next_server(HELLO)
        self.does_not_answer()
        self.answers(self.next_server(Ping()), Pong())
        self.assertFalse(client.connected)
        self.answers(self.next_server(HELLO), ServerHello("txslacker/9"))
        self.assertTrue(client.connected)

    def test_a_server_that_was_replaced_by_an_old_one_is_asked_with_a_hello_once_more_only(self) -> None:
        client = self.connected()
        self.answers(self.next_server(HELLO), ServerHello("txslacker/9"))
        self.network.cut(self.address)
        for _ in range(2):
            self.next_server(HELLO)
            self.does_not_answer()
            self.answers(self.next_server(Ping()), Pong())
        self.assertTrue(client.connected)

    def test_an_old_server_is_asked_with_a_hello_after_each_break_since_it_may_be_a_new_one(self) -> None:
        client = self.connected()
        for _ in range(2):
            self.next_server(HELLO)
            self.does_not_answer()
            self.answers(self.next_server(Ping()), Pong())
            self.assertTrue(client.connected)
            self.network.cut(self.address)
        self.answers(self.next_server(HELLO), ServerHello("txslacker/9"))
        self.assertTrue(client.connected)

    def test_a_client_of_version_5_never_says_hello(self) -> None:
        client = self.connected(version=5)
        for _ in range(3):
            self.answers(self.next_server(Ping(version=5)), Pong(version=5))
            self.assertTrue(client.connected)
            self.network.cut(self.address)


class ClosedTests(LinkTestCase):
    """Over TLS, and while something is still to be sent, what a peer says comes also after the closing."""

    address = "127.0.0.1:2104"  # a token is shown to a server on this machine

    def close(self, client: Client) -> Deferred[None]:
        """Close a client whose server has not read yet what it was sent last."""
        [near] = self.network.connections(self.address)
        near.other.reading = False
        near.write(encode(Pong()))
        return client.close()

    def stays_closed(self, client: Client, closed: Deferred[None]) -> None:
        self.network.flush()
        self.assertFalse(client.connected)
        self.assertIn("closed", str(self.failureResultOf(client.call("n", "f"), NotSent).value))
        self.network.advance(1)
        self.assertIsNone(self.result(closed))

    def test_an_answer_to_the_hello_does_not_open_it_again(self) -> None:
        client = self.connected()
        server = self.next_server(HELLO)
        closed = self.close(client)
        server.say(ServerHello("txslacker/9"))
        self.stays_closed(client, closed)

    def test_nor_does_one_to_the_token(self) -> None:
        client = self.connected(auth=TOKEN)
        server = self.next_server(HELLO)
        self.answers(server, ServerHello("txslacker/9"))
        self.assertEqual(server.received(), [AuthRequest(0, TOKEN)])
        closed = self.close(client)
        server.say(AuthAck(0, 0))
        self.stays_closed(client, closed)

    def test_nor_the_end_of_a_handshake(self) -> None:
        client = self.connected()
        server = self.next_server(HELLO)
        [near] = self.network.connections(self.address)
        closed = self.close(client)
        cast(IHandshakeListener, near.protocol).handshakeCompleted()
        self.stays_closed(client, closed)
        self.assertEqual(server.received(), [])


class PauseTests(LinkTestCase):
    """How soon a server is asked again that was connected."""

    def greeting_server(self) -> None:
        self.answers(self.next_server(HELLO), ServerHello("txslacker/9"))

    def pause(self) -> float:
        """Break the connection; the seconds until the next attempt."""
        self.network.cut(self.address)
        [attempt] = self.network.reactor.getDelayedCalls()
        return attempt.getTime() - self.network.reactor.seconds()

    def test_one_that_greets_and_closes_is_asked_ever_more_rarely(self) -> None:
        self.connected()
        pauses = []
        for _ in range(10):
            self.greeting_server()
            pauses.append(self.pause())
        self.assertTrue(pauses[0] <= 0.2, pauses)
        self.assertTrue(all(2.5 <= pause <= 5 for pause in pauses[6:]), pauses)

    def test_one_that_stayed_for_a_while_is_asked_again_soon(self) -> None:
        self.connected()
        for _ in range(10):
            self.greeting_server()
            self.pause()
        self.greeting_server()
        self.network.advance(5.1)
        self.assertLessEqual(self.pause(), 0.1)
