"""Who may call functions over HTTP, and where the gateway may stand."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from slacker.errors import ConfigurationError
from slacker.server import Limits, SlackerServer, current_call
from slacker.server.auth import Authenticator, new_token
from slacker.server.http import GatewayResource, site
from slacker.server.http_site import STRANGERS_BODY
from slacker.testing import Network
from tests.server.http_client import (
    Client,
    GatewayTestCase,
    authenticate,
    chunked,
    count,
    request,
)


class TokenTests(GatewayTestCase):
    def test_only_a_known_token_calls(self) -> None:
        self.serve()
        client = Client(site(self.server, authenticate))
        for headers in [{}, {"authorization": "Basic good"}, {"authorization": "good"}]:
            answer = client.ask("/n/count.json", None, "POST", **headers)
            self.assertEqual((answer.status, answer.json()["error"]), (401, "unauthenticated"))
            self.assertEqual(answer.headers["www-authenticate"], 'Bearer realm="slacker"')
        for token in ["wrong", "", "go od", "\u00e9"]:
            answer = client.ask("/n/count.json", authorization=f"Bearer {token}")
            self.assertEqual((answer.status, answer.json()["error"]), (401, "unauthenticated"))
            self.assertIn("invalid_token", answer.headers["www-authenticate"])
        for value in ["Bearer good", "bearer  good "]:
            self.assertEqual(client.ask("/n/count.json", authorization=value).body, b"0")

    def test_a_server_with_auth_asks_here_too(self) -> None:
        token, digest = new_token("billing")
        auth = Authenticator({"tokens": {"billing": {"sha256": digest, "namespaces": ["n", "m"]}}})
        client = self.serve({"m": {"who": lambda: current_call().peer.identity.name}}, auth=auth)  # type: ignore[union-attr]
        self.assertEqual(client.ask("/n/count.json").status, 401)
        self.assertEqual(client.ask("/n/count.json", authorization="Bearer billing:x").status, 401)
        self.assertEqual(client.ask("/m/who.json", authorization=f"Bearer {token}").json(), "billing")
        self.assertEqual(client.ask("/o/count.json", authorization=f"Bearer {token}").status, 403)
        bare = Client(Site(GatewayResource(self.server), timeout=None))
        self.assertEqual(bare.ask("/n/count.json").status, 401)

    def test_strangers_do_not_learn_what_there_is(self) -> None:
        self.serve()
        client = Client(site(self.server, authenticate))
        for path in ["/n/no.json", "/no/no.json", "/n/count.xml"]:
            self.assertEqual(client.ask(path).status, 401)
            self.assertEqual(client.ask(path, authorization="Bearer other").status, 403)

    def test_a_token_is_not_taken_in_the_clear_from_another_machine(self) -> None:
        self.serve()
        client = Client(site(self.server, authenticate), "10.0.0.9")
        answer = client.ask("/n/count.json", authorization="Bearer good")
        self.assertEqual((answer.status, answer.json()["error"]), (403, "acl-reject"))
        self.assertIn("TLS", answer.json()["message"])

    def test_of_a_large_body_of_a_stranger_nothing_is_kept(self) -> None:
        self.serve()
        gateway = site(self.server, authenticate)
        size = STRANGERS_BODY + 1
        for headers, challenge in [
            ({}, 'Bearer realm="slacker"'),
            ({"authorization": "Bearer wrong"}, 'Bearer realm="slacker", error="invalid_token"'),
        ]:
            client = Client(gateway)
            client.send(request("/n/count.json", None, "POST", content_length=str(size), **headers))
            self.assert_unauthenticated(client, challenge)
            client = Client(gateway)
            client.send(request("/n/count.json", None, "POST", transfer_encoding="chunked", **headers))
            client.send(chunked(b"x" * (size - 1), 10_000)[:-5])
            self.assertEqual(client.received, b"")
            client.send(chunked(b"x", 1)[:-5])
            self.assert_unauthenticated(client, challenge)

    def assert_unauthenticated(self, client: Client, challenge: str) -> None:
        [answer] = client.answers()
        self.assertEqual((answer.status, answer.json()["error"]), (401, "unauthenticated"))
        self.assertEqual(answer.headers["www-authenticate"], challenge)
        self.assertEqual(answer.headers["connection"], "close")

    def test_others_may_send_large_ones(self) -> None:
        self.serve()
        client = Client(site(self.server, authenticate))
        body = b"[" + b" " * 2 * STRANGERS_BODY + b"]"
        self.assertEqual(client.ask("/n/count.json", body, authorization="Bearer good").body, b"0")
        head = request("/n/count.json", transfer_encoding="chunked", authorization="Bearer good")
        client = Client(site(self.server, authenticate))
        client.send(head + chunked(body, 10_000))
        self.assertEqual([answer.body for answer in client.answers()], [b"0"])


class EmbeddingTests(GatewayTestCase):
    """The gateway in a site of one's own."""

    def setUp(self) -> None:
        self.serve(limits=Limits(max_frame=64))
        root, below = Resource(), Resource()
        root.putChild(b"api", below)
        below.putChild(b"rpc", GatewayResource(self.server, authenticate))
        root.putChild(b"open", GatewayResource(self.server))
        self.client = Client(Site(root, timeout=None))

    def test_it_answers_below_any_prefix(self) -> None:
        self.assertEqual(self.client.ask("/open/n/count.json", b"[1]").body, b"1")
        self.assertEqual(self.client.ask("/api/rpc/n/count.json").status, 401)
        answer = self.client.ask("/api/rpc/n/count.json", authorization="Bearer good")
        self.assertEqual(answer.body, b"0")
        self.assertEqual(self.client.ask("/open/slacker.cluster.manager/server-data.json").status, 404)

    def test_a_body_that_the_site_let_pass_is_refused(self) -> None:
        fits = b'["' + b"x" * 60 + b'"]'
        self.assertEqual(self.client.ask("/open/n/count.json", fits).body, b"1")
        answer = self.client.ask("/open/n/count.json", fits + b" ")
        self.assertEqual((answer.status, answer.json()["error"]), (413, "too-large"))


class EndpointTests(SynchronousTestCase):
    def test_a_wrong_endpoint_is_said_in_our_words(self) -> None:
        server = SlackerServer([{"n": {"count": count}}], reactor=Network().reactor)
        error = self.assertRaises(ConfigurationError, server.listen_http, "nonsense")
        self.assertIn("endpoint 'nonsense'", str(error))
