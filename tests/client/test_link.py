"""The way to one server that is held up, replaced, or does not stay."""

from __future__ import annotations

from typing import Any

from slacker.client.client import Client
from slacker.client.connection import SOFTWARE
from slacker.wire import ClientHello, Frame, Ping, Pong, ServerHello
from tests.client.test_client import ADDRESS, ClientTestCase, PlayedServer

HELLO = ClientHello(SOFTWARE, "")


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
        self.network.cut(ADDRESS)
        self.next_server(HELLO)
        self.does_not_answer()
        self.answers(self.next_server(Ping()), Pong())
        self.assertFalse(client.connected)
        self.answers(self.next_server(HELLO), ServerHello("txslacker/9"))
        self.assertTrue(client.connected)

    def test_a_server_that_was_replaced_by_an_old_one_is_asked_with_a_hello_once_more_only(self) -> None:
        client = self.connected()
        self.answers(self.next_server(HELLO), ServerHello("txslacker/9"))
        self.network.cut(ADDRESS)
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
            self.network.cut(ADDRESS)
        self.answers(self.next_server(HELLO), ServerHello("txslacker/9"))
        self.assertTrue(client.connected)

    def test_a_client_of_version_5_never_says_hello(self) -> None:
        client = self.connected(version=5)
        for _ in range(3):
            self.answers(self.next_server(Ping(version=5)), Pong(version=5))
            self.assertTrue(client.connected)
            self.network.cut(ADDRESS)
