"""Authentication through real sockets: twistd with TLS and a file of who may call what; strangers; HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import skipIf

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from slacker.client.client import Client
from slacker.errors import AccessDenied, NotSent
from slacker.server.admission import MOST_FAILURES
from slacker.server.auth import Authenticator, new_token
from slacker.server.service import SlackerServer
from slacker.tls import ClientTls, ServerTls
from slacker.wire import AuthRequest, Ping, encode
from tests.certificates import Authority
from tests.integration.processes import Child, connected, free_port, twistd, until

HERE = "tcp:0:interface=127.0.0.1"


class AuthTestCase(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.authority = Authority(self.folder)
        self.token, digest = new_token("billing")
        self.other_token, other_digest = new_token("other")
        self.auth = self.folder / "auth.toml"
        self.auth.write_text(
            f'[tokens.billing]\nsha256 = "{digest}"\nnamespaces = ["json", "n"]\n'
            f'[tokens.other]\nsha256 = "{other_digest}"\nnamespaces = ["other.*"]\n'
            '[certificates."till.example"]\nnamespaces = ["json", "n"]\n'
        )
        self.certificate, self.key = self.authority.issue("server", hosts=["127.0.0.1"])

    def client(self, address: str, **options: Any) -> Client:
        client = Client(address, **options)
        self.addCleanup(client.close)
        return client

    @property
    def trusting(self) -> ClientTls:
        return ClientTls(ca=self.authority.path)


class TwistdTests(AuthTestCase):
    def start(self, *more: str) -> tuple[Child, str]:
        port = free_port(self)
        child = twistd(
            *["slacker", "--expose", "json", "--listen", f"tcp:{port}:interface=127.0.0.1"],
            *["--tls-certificate", self.certificate, "--tls-key", self.key, *more],
        )
        self.addCleanup(child.clean_up)
        return child, f"127.0.0.1:{port}"

    async def test_a_token_over_tls_opens_what_the_file_says_and_is_in_no_log(self) -> None:
        child, address = self.start("--auth", str(self.auth))
        await child.printed("starting on")
        client = await connected(self.client(address, tls=self.trusting, auth=self.token))
        self.assertEqual(await client.call("json", "dumps", [[1]]), "[1]")
        for other in (
            self.client(address, tls=self.trusting),
            self.client(address, tls=self.trusting, auth=self.other_token),
        ):
            await connected(other)
            await self.assertFailure(other.call("json", "dumps", [[1]]), AccessDenied)
        wrong = self.token[:-1] + ("x" if self.token[-1] != "x" else "y")
        stranger = self.client(address, tls=self.trusting, auth=wrong)

        async def rejected() -> bool:
            error = await self.assertFailure(stranger.call("json", "dumps", [[1]]), NotSent)
            return "rejected this client's token" in str(error)

        await until(rejected, "the token being rejected")
        await child.printed("its token is nobody's")
        for token in (self.token, self.other_token, wrong):
            self.assertNotIn(token.partition(":")[2][:20], child.output)

    async def test_the_name_in_a_clients_certificate_is_an_identity(self) -> None:
        child, address = self.start("--auth", str(self.auth), "--tls-client-ca", self.authority.path)
        await child.printed("starting on")
        for hosts, may in ((["till.example"], True), (["other.example"], False)):
            certificate, key = self.authority.issue("x", hosts=hosts)
            tls = ClientTls(ca=self.authority.path, certificate=certificate, key=key)
            client = await connected(self.client(address, tls=tls))
            call = client.call("json", "dumps", [[1]])
            if may:
                self.assertEqual(await call, "[1]")
            else:
                await self.assertFailure(call, AccessDenied)

    async def test_what_is_wrong_with_the_files_is_one_line(self) -> None:
        broken = self.folder / "broken.toml"
        broken.write_text("[tokens.x]\nnamespaces = []\n")
        _, other_key = self.authority.issue("other")
        for more, expected in [
            (["--auth", str(broken)], "[tokens.x]: sha256 should be"),
            (["--auth", str(self.folder / "gone")], "No such file"),
            (["--tls-key", other_key], "does not belong to"),
            (["--tls-client-ca", str(broken)], "holds no certificate"),
        ]:
            child, _ = self.start(*more)
            self.assertEqual(await child.ended(), 1)
            (line,) = child.output.strip().splitlines()
            self.assertTrue(line.startswith("twistd slacker: "), line)
            self.assertIn(expected, line)


class _Stranger(Protocol):
    """Says what it is told, and keeps what it hears."""

    def __init__(self) -> None:
        self.received = b""
        self.gone: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.gone.callback(None)


class InProcessTests(AuthTestCase):
    async def serve(self, *, tls: bool = True, http: bool = False) -> int:
        """A server on loopback; its port."""
        self.server = SlackerServer(
            [{"n": {"echo": lambda x: x}}],
            tls=ServerTls(certificate=self.certificate, key=self.key) if tls else None,
            auth=Authenticator.from_file(str(self.auth)),
        )
        self.addCleanup(self.server.stop)
        listen: Callable[[str], Any] = self.server.listen_http if http else self.server.listen
        port = await listen(HERE)
        return int(port.getHost().port)

    async def stranger(self, port: int, *, tls: bool = False) -> Any:
        from twisted.internet import reactor

        endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        if tls:
            trusted = self.trusting._trusted
            endpoint = wrapClientTLS(optionsForClientTLS("127.0.0.1", trustRoot=trusted), endpoint)
        stranger = await endpoint.connect(Factory.forProtocol(_Stranger))

        async def leave() -> None:
            if not stranger.gone.called:
                stranger.transport.abortConnection()
                await stranger.gone

        self.addCleanup(lambda: Deferred.fromCoroutine(leave()))
        return stranger

    async def test_a_token_in_clear_is_taken_on_loopback(self) -> None:
        port = await self.serve(tls=False)
        self.assertEqual(await self.client(f"127.0.0.1:{port}", auth=self.token).call("n", "echo", [1]), 1)

    async def test_strangers_who_try_tokens_are_closed_and_others_are_served_meanwhile(self) -> None:
        port = await self.serve()
        honest = self.client(f"127.0.0.1:{port}", tls=self.trusting, auth=self.token)
        self.assertEqual(await honest.call("n", "echo", [1]), 1)
        strangers = [await self.stranger(port, tls=True) for _ in range(5)]
        for stranger in strangers:
            stranger.transport.write(encode(Ping()) + encode(AuthRequest(1, "billing:" + "x" * 60_000)) * 100)
        self.assertEqual(await honest.call("n", "echo", [2]), 2)
        for stranger in strangers:
            await stranger.gone
            self.assertEqual(stranger.received.count(b"\x06\x00\x00\x00\x01\x06\x01"), MOST_FAILURES)
        await until(lambda: len(self.server.connections) == 1, "strangers being gone")
        self.assertEqual(await honest.call("n", "echo", [3]), 3)

    @skipIf(
        int(version("Twisted").split(".")[0]) < 26,
        "Twisted before 26 changes contexts that are in use, for HTTP, which pyOpenSSL refuses",
    )
    async def test_http_goes_through_tls_with_the_same_tokens(self) -> None:
        port = await self.serve(http=True)
        for token, status in [
            (self.token, b"200"),
            (self.other_token, b"403"),
            ("billing:x", b"401"),
            ("", b"401"),
        ]:
            stranger = await self.stranger(port, tls=True)
            bearer = f"authorization: Bearer {token}\r\n" if token else ""
            stranger.transport.write(
                f"POST /n/echo.json HTTP/1.1\r\nhost: x\r\n{bearer}content-length: 4\r\n"
                "connection: close\r\n\r\n[55]".encode("ascii")
            )
            await stranger.gone
            head, _, body = stranger.received.partition(b"\r\n\r\n")
            self.assertEqual(head.split()[1], status, stranger.received)
            if status == b"200":
                self.assertEqual(json.loads(body), 55)
