"""TLS through real sockets: who trusts whom, and what each side is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from slacker.client.client import Client
from slacker.cluster.client import ClusterClient
from slacker.errors import NotSent, Unavailable
from slacker.server.context import current_call
from slacker.server.service import SlackerServer
from slacker.tls import ClientTls, ServerTls, encrypted
from tests.certificates import Authority
from tests.integration.processes import until

HERE = "tcp:0:interface=127.0.0.1"


def echo(x: Any) -> Any:
    return x


def who() -> str:
    return current_call().peer.address


class TlsTestCase(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.authority = Authority(self.folder)
        self.other = Authority(self.folder, "other")

    async def serve(self, tls: ServerTls | None, endpoint: str = HERE, **options: Any) -> str:
        """A server on loopback; its address."""
        self.server = SlackerServer([{"n": {"echo": echo, "who": who}}], tls=tls, **options)
        self.addCleanup(self.server.stop)
        return address_of(await self.server.listen(endpoint))

    async def serve_with(self, *hosts: str, client_ca: str | None = None) -> str:
        certificate, key = self.authority.issue("server", hosts=hosts)
        return await self.serve(ServerTls(certificate=certificate, key=key, client_ca=client_ca))

    def client(self, address: str, tls: ClientTls | bool = False, **options: Any) -> Client:
        client = Client(address, tls=tls, **options)
        self.addCleanup(client.close)
        return client

    def trusting(self, **options: Any) -> ClientTls:
        return ClientTls(**{"ca": self.authority.path, **options})

    async def refused(self, client: Client, expected: str) -> None:
        """A call is not sent, for this reason."""
        error = await self.assertFailure(client.call("n", "echo", [1]), NotSent)
        self.assertIn(expected, str(error))


def address_of(port: Any) -> str:
    return f"127.0.0.1:{port.getHost().port}"


class TrustTests(TlsTestCase):
    async def test_a_call_goes_through_tls_in_both_directions(self) -> None:
        client = self.client(await self.serve_with("127.0.0.1"), self.trusting())
        self.assertEqual(await client.call("n", "echo", ["x" * 200_000]), "x" * 200_000)
        (connection,) = self.server.connections
        self.assertTrue(encrypted(connection.transport))

    async def test_the_peer_is_known_by_its_address_as_without_tls(self) -> None:
        client = self.client(await self.serve_with("127.0.0.1"), self.trusting())
        self.assertRegex(await client.call("n", "who"), r"127\.0\.0\.1:\d+")

    async def test_a_host_name_is_checked_as_well_as_an_ip_address(self) -> None:
        port = (await self.serve_with("localhost")).rpartition(":")[2]
        self.assertEqual(await self.client(f"localhost:{port}", self.trusting()).call("n", "echo", [1]), 1)

    async def test_a_certificate_for_another_host_is_refused_with_both_names(self) -> None:
        client = self.client(await self.serve_with("other.example", "10.9.8.7"), self.trusting())
        await self.refused(client, "is for 'other.example', '10.9.8.7', not for '127.0.0.1'")

    async def test_a_certificate_without_any_host_is_refused_though_twisted_takes_it(self) -> None:
        client = self.client(await self.serve_with(), self.trusting())
        await self.refused(client, "is for no host (it has no subjectAltName), not for '127.0.0.1'")
        self.assertEqual({connection.peer.software for connection in self.server.connections} - {""}, set())

    async def test_hostname_says_which_name_is_expected(self) -> None:
        address = await self.serve_with("shop.example")
        client = self.client(address, self.trusting(hostname="shop.example"))
        self.assertEqual(await client.call("n", "echo", [1]), 1)

    async def test_a_certificate_of_another_authority_is_refused(self) -> None:
        client = self.client(await self.serve_with("127.0.0.1"), ClientTls(ca=self.other.path))
        await self.refused(client, f"is signed by no authority of the ca file {self.other.path}")

    async def test_tls_true_trusts_the_authorities_of_the_system_alone(self) -> None:
        client = self.client(await self.serve_with("127.0.0.1"), True)
        await self.refused(client, "is signed by no authority of this system")

    async def test_a_certificate_that_has_expired_since_the_server_began_is_refused(self) -> None:
        certificate, key = self.authority.issue("server", hosts=["127.0.0.1"])
        tls = ServerTls(certificate=certificate, key=key)
        old, old_key = self.authority.issue("server", hosts=["127.0.0.1"], begins=-2, ends=-1)
        expired = _unchecked(old, old_key)
        object.__setattr__(tls, "_options", expired)
        await self.refused(
            self.client(await self.serve(tls), self.trusting()), "is not trusted: that expired"
        )

    async def test_a_chain_in_the_certificates_file_is_sent_along(self) -> None:
        certificate, key = self.authority.issue("server", hosts=["127.0.0.1"])
        chain = joined(self.folder / "chain.pem", certificate, self.authority.path)
        address = await self.serve(ServerTls(certificate=chain, key=key))
        self.assertEqual(await self.client(address, self.trusting()).call("n", "echo", [1]), 1)

    async def test_an_ssl_endpoint_string_goes_on_as_it_is(self) -> None:
        certificate, key = self.authority.issue("server", hosts=["127.0.0.1"])
        ssl = f"ssl:0:privateKey={key}:certKey={certificate}:interface=127.0.0.1"
        for tls in (None, ServerTls(certificate=certificate, key=key)):
            address = await self.serve(tls, ssl)
            self.assertEqual(await self.client(address, self.trusting()).call("n", "echo", [1]), 1)


def joined(path: Path, *parts: str) -> str:
    path.write_bytes(b"".join(Path(part).read_bytes() for part in parts))
    return str(path)


def _unchecked(certificate: str, key: str) -> Any:
    """What ServerTls makes of these files, but for its look at the date."""
    from OpenSSL import crypto
    from twisted.internet.ssl import CertificateOptions

    return CertificateOptions(
        certificate=crypto.load_certificate(crypto.FILETYPE_PEM, Path(certificate).read_bytes()),
        privateKey=crypto.load_privatekey(crypto.FILETYPE_PEM, Path(key).read_bytes()),
    )


class MutualTests(TlsTestCase):
    async def serve_mutually(self) -> str:
        return await self.serve_with("127.0.0.1", client_ca=self.authority.path)

    async def test_a_client_with_a_certificate_of_the_right_authority_is_served(self) -> None:
        certificate, key = self.authority.issue("billing")
        client = self.client(await self.serve_mutually(), self.trusting(certificate=certificate, key=key))
        self.assertEqual(await client.call("n", "echo", [1]), 1)

    async def test_a_client_without_one_is_told_that_it_needs_one(self) -> None:
        await self.refused(self.client(await self.serve_mutually(), self.trusting()), "certificate")

    async def test_a_client_with_one_of_another_authority_is_refused(self) -> None:
        certificate, key = self.other.issue("billing")
        client = self.client(await self.serve_mutually(), self.trusting(certificate=certificate, key=key))
        await self.refused(client, "the other end does not trust the certificate it was shown")


class MisunderstandingTests(TlsTestCase):
    async def test_a_client_without_tls_is_told_that_the_server_speaks_it(self) -> None:
        await self.refused(self.client(await self.serve_with("127.0.0.1")), "want TLS (tls=)?")

    async def test_a_client_with_tls_is_told_that_the_server_does_not_speak_it(self) -> None:
        address = await self.serve(None)
        await self.refused(self.client(address, self.trusting()), "speak TLS at all?")

    async def test_a_server_that_says_nothing_to_a_handshake_is_given_up(self) -> None:
        from twisted.internet import reactor

        self.patch_timeout()
        port = await serverFromString(reactor, HERE).listen(Factory.forProtocol(_Silent))
        self.addCleanup(port.stopListening)
        await self.refused(self.client(address_of(port), self.trusting()), "no end of the TLS handshake")

    def patch_timeout(self) -> None:
        from slacker.client import connection

        self.patch(connection, "HANDSHAKE_TIMEOUT", 0.05)

    async def look(self) -> None:
        """Let the server look at its one connection as often as it does within a frame's time."""
        await until(lambda: self.server.connections, "a connection")
        (connection,) = self.server.connections
        for _ in range(3):
            connection.look()

    async def test_a_peer_that_connects_and_says_nothing_is_closed(self) -> None:
        from twisted.internet import reactor

        port = int((await self.serve_with("127.0.0.1")).rpartition(":")[2])
        stranger: Any = await TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(
            Factory.forProtocol(_Silent)
        )
        await self.look()
        await stranger.gone

    async def test_a_peer_that_never_ends_its_side_of_tls_is_closed(self) -> None:
        """A TLS connection that is closed waits for the peer's last word."""
        client = self.client(await self.serve_with("127.0.0.1"), self.trusting())
        await client.call("n", "echo", [1])
        (connection,) = self.server.connections
        connection.close()
        connection.transport.transport.stopReading()  # nothing that the peer says is heard
        await self.look()
        await until(lambda: not self.server.connections, "closing")


class _Silent(Protocol):
    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.gone.callback(None)


class ClusterTests(TlsTestCase):
    async def test_servers_of_a_cluster_are_checked_by_the_name_they_share(self) -> None:
        address = await self.serve_with("shop.example")
        cluster = ClusterClient(
            "c", servers=[address], tls=self.trusting(hostname="shop.example"), timeout=5.0
        )
        self.addCleanup(cluster.close)
        self.assertEqual(await cluster.call("n", "echo", [1]), 1)

    async def test_or_by_their_ip_addresses(self) -> None:
        cluster = ClusterClient(
            "c", servers=[await self.serve_with("127.0.0.1")], tls=self.trusting(), timeout=5.0
        )
        self.addCleanup(cluster.close)
        self.assertEqual(await cluster.call("n", "echo", [1]), 1)

    async def test_a_server_that_is_not_trusted_is_not_used(self) -> None:
        cluster = ClusterClient(
            "c", servers=[await self.serve_with("other.example")], tls=self.trusting(), timeout=0.5
        )
        self.addCleanup(cluster.close)
        await self.assertFailure(cluster.call("n", "echo", [1]), Unavailable, NotSent)
