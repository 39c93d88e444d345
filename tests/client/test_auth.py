"""A client that shows a token: when, to whom, and what it makes of the answer."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from slacker.client.client import Client
from slacker.client.connection import AUTH_TIMEOUT, HELLO_TIMEOUT
from slacker.cluster.client import ClusterClient
from slacker.errors import ConfigurationError, NotSent
from slacker.server import nonblocking
from slacker.server.auth import Authenticator, new_token
from slacker.testing import Network
from slacker.wire import (
    AuthAck,
    AuthRequest,
    ClientHello,
    Decoder,
    Error,
    Frame,
    Ping,
    Pong,
    Request,
    Response,
    ServerHello,
    encode,
)

HERE, FAR = "127.0.0.1:2104", "10.0.0.1:2104"
TOKEN, DIGEST = new_token("billing")
SECRET = TOKEN.partition(":")[2]


class Played(Protocol):
    """A server of which the test plays every word."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._frames: list[Frame] = []

    def dataReceived(self, data: bytes) -> None:
        self._frames += self._decoder.feed(data)

    def received(self) -> list[Frame]:
        frames, self._frames = self._frames, []
        return frames

    def say(self, *frames: Frame) -> None:
        assert self.transport is not None
        self.transport.write(b"".join(map(encode, frames)))


class AuthTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()
        self.played: list[Played] = []
        self.clients: list[Any] = []

    def tearDown(self) -> None:
        closed = [client.close() for client in self.clients]
        self.network.advance(2)
        for each in closed:
            self.successResultOf(each)
        self.assertEqual(self.network.reactor.getDelayedCalls(), [])

    def play(self, address: str = HERE) -> None:
        def build() -> Played:
            self.played.append(Played())
            return self.played[-1]

        factory = Factory.forProtocol(build)
        factory.noisy = False
        self.network.listen(address, factory)

    def client(self, address: str = HERE, **options: Any) -> Client:
        client = self.network.client(address, **{"auth": TOKEN, **options})
        self.clients.append(client)
        return client

    def call(self, client: Client) -> Deferred[Any]:
        call = client.call("n", "echo", [1])
        self.network.flush()
        return call

    def refused(self, call: Deferred[Any], expected: str) -> None:
        self.network.flush()
        text = str(self.failureResultOf(call, NotSent).value)
        self.assertIn(expected, text)
        self.assertNotIn(SECRET, text)

    def heard(self, *expected: Frame) -> Played:
        self.network.flush()
        self.assertEqual(self.played[-1].received(), list(expected))
        return self.played[-1]

    def say(self, *frames: Frame) -> None:
        self.played[-1].say(*frames)
        self.network.flush()

    def hello(self) -> ClientHello:
        """What every connection begins with."""
        frames = self.played[-1].received()
        self.assertEqual([type(frame) for frame in frames], [ClientHello])
        hello = frames[0]
        assert isinstance(hello, ClientHello)
        return hello


class GreetingTests(AuthTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.play()

    def test_the_token_follows_the_hello_and_calls_follow_the_token(self) -> None:
        client = self.client()
        call = self.call(client)
        self.hello()
        self.say(ServerHello("txslacker/1"))
        self.heard(AuthRequest(0, TOKEN))
        self.assertFalse(client.connected)
        self.say(AuthAck(0, 0))
        self.assertTrue(client.connected)
        (request,) = self.played[-1].received()
        assert isinstance(request, Request)
        self.say(Response(request.tid, request.content_type, 0, b"\x05"))
        self.assertEqual(self.successResultOf(call), 5)

    def test_it_is_sent_once_whatever_the_server_repeats(self) -> None:
        self.client().connect()
        self.network.flush()
        self.hello()
        self.say(ServerHello("x"), ServerHello("x"), Pong())
        self.heard(AuthRequest(0, TOKEN))
        self.say(AuthAck(0, 0), AuthAck(0, 1), Error(0, 22))
        self.assertTrue(self.clients[-1].connected)

    def test_an_old_peer_gets_it_in_its_version(self) -> None:
        self.client(version=5).connect()
        self.heard(Ping(version=5))
        self.say(Pong(version=5))
        self.heard(AuthRequest(0, TOKEN, 5))
        self.say(AuthAck(0, 0, 5))
        self.assertTrue(self.clients[-1].connected)

    def test_an_answer_before_the_token_was_sent_means_nothing(self) -> None:
        self.client().connect()
        self.network.flush()
        self.hello()
        self.say(AuthAck(0, 0), Error(0, 21))
        self.assertFalse(self.clients[-1].connected)

    def test_a_server_that_asks_for_no_token_is_called_all_the_same(self) -> None:
        self.client().connect()
        self.network.flush()
        self.say(ServerHello("0.18.0"))
        self.say(Error(0, 21))
        self.assertTrue(self.clients[-1].connected)


class RejectionTests(AuthTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.play()

    def test_calls_are_not_sent_and_hear_why(self) -> None:
        answers: list[tuple[Frame, str]] = [
            (AuthAck(0, 1), "the server rejected this client's token (auth=)"),
            (Error(0, 22), "the server takes no token on this connection; it wants TLS (tls=)"),
            (Error(0, 13), "the server answered this client's token with code 13"),
        ]
        for answer, expected in answers:
            client = self.client()
            call = self.call(client)
            self.say(ServerHello("x"))
            self.say(answer)
            self.refused(call, expected)
            self.refused(client.call("n", "echo"), expected)

    def test_no_answer_is_one_as_well(self) -> None:
        call = self.call(self.client())
        self.say(ServerHello("x"))
        self.network.advance(AUTH_TIMEOUT)
        self.refused(call, "no answer to this client's token within 5.0 s")

    def test_the_next_attempt_waits_for_the_longest_pause(self) -> None:
        self.client().connect()
        self.network.flush()
        for attempts in (1, 2, 3):
            self.assertEqual(len(self.played), attempts)
            self.say(ServerHello("x"))
            self.say(AuthAck(0, 1))
            self.network.advance(2.4)
            self.assertEqual(len(self.played), attempts)
            self.network.advance(2.6)

    def test_when_the_token_is_known_at_last_calls_go_on(self) -> None:
        self.client().connect()
        self.network.flush()
        self.say(ServerHello("x"))
        self.say(AuthAck(0, 1))
        self.network.advance(5)
        self.say(ServerHello("x"))
        self.say(AuthAck(0, 0))
        self.assertTrue(self.clients[-1].connected)

    def test_a_peer_without_hello_is_asked_again_without_one_and_then_shown_the_token(self) -> None:
        self.client().connect()
        self.network.flush()
        self.hello()
        self.network.advance(HELLO_TIMEOUT)
        self.network.advance(1)
        self.heard(Ping())
        self.say(Pong())
        self.heard(AuthRequest(0, TOKEN))


class SecrecyTests(AuthTestCase):
    def test_to_a_server_elsewhere_it_is_not_sent_in_clear(self) -> None:
        self.play(FAR)
        call = self.call(self.client(FAR))
        self.hello()
        self.say(ServerHello("x"))
        self.heard()
        self.refused(call, "the connection is not encrypted, so this client's token was not sent; give tls=")

    def test_over_a_unix_socket_and_loopback_it_is(self) -> None:
        self.play(FAR)
        for address in (UNIXAddress("/x"), IPv4Address("TCP", "127.0.0.2", 1)):
            self.client(FAR).connect()
            self.network.connections(FAR)[-1].peer = address
            self.network.flush()
            self.hello()
            self.say(ServerHello("x"))
            self.heard(AuthRequest(0, TOKEN))

    def test_what_is_no_token_is_refused_without_being_repeated(self) -> None:
        for auth in [
            "",
            "name",
            ":",
            "name:",
            f":{SECRET}",
            f"é:{SECRET}",
            f"x:{SECRET}\n",
            "x:" + "y" * 65_535,
        ]:
            error = self.assertRaises(ConfigurationError, self.client, auth=auth)
            self.assertEqual(str(error), "auth should be name:token, printable ASCII")
        self.assertRaises(ConfigurationError, self.client, auth=7)

    def test_it_is_in_no_repr(self) -> None:
        self.play()
        client = self.client()
        client.connect()
        self.network.flush()
        link = client._channel.link
        for thing in (client, client._channel, link, link._open, AuthRequest(0, TOKEN)):
            self.assertNotIn(SECRET, repr(thing))


class ServerTests(AuthTestCase):
    """Against a real server in memory."""

    def setUp(self) -> None:
        super().setUp()
        known = {"tokens": {"billing": {"sha256": DIGEST, "namespaces": ["n"]}}}
        self.server = self.network.serve(
            HERE, [nonblocking({"n": {"echo": lambda x: x}, "m": {"echo": id}})], auth=Authenticator(known)
        )

    def test_what_it_may_call_answers_and_the_rest_is_denied(self) -> None:
        from slacker.errors import AccessDenied

        client = self.client()
        self.assertEqual(self.successResultOf(self.call(client)), 1)
        denied = client.call("m", "echo", [1])
        self.network.flush()
        self.failureResultOf(denied, AccessDenied)
        functions = client.functions()
        self.network.flush()
        self.assertEqual(self.successResultOf(functions), ["n/echo"])

    def test_without_a_token_everything_is_denied(self) -> None:
        from slacker.errors import AccessDenied

        client = self.client(auth=None)
        for call in (client.call("n", "echo", [1]), client.functions(), client.clients()):
            self.network.flush()
            self.failureResultOf(call, AccessDenied)

    def test_a_wrong_token_ends_in_not_sent(self) -> None:
        call = self.call(self.client(auth="billing:" + "x" * 43))
        self.network.advance(1)
        self.refused(call, "rejected this client's token")

    def test_a_cluster_client_shows_it_to_each_server(self) -> None:
        def connect(address: str, **options: Any) -> Client:
            return Client(address, endpoint=self.network.endpoint(address), **options)

        cluster = ClusterClient(
            "c", servers=[HERE], auth=TOKEN, connect=connect, reactor=self.network.reactor
        )
        self.clients.append(cluster)
        call = cluster.call("n", "echo", [4])
        self.network.advance(0.1)
        self.assertEqual(self.successResultOf(call), 4)
