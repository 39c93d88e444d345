"""The HTTP gateway through real sockets: clients of other libraries, TLS, tokens and twistd."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, readBody
from twisted.web.http_headers import Headers

from slacker.content import dumps, loads
from slacker.server import Limits, SlackerServer, current_call, http_site, nonblocking
from slacker.server.auth import Authenticator, new_token
from slacker.tls import ServerTls
from tests.certificates import Authority
from tests.integration.http_calls import (
    FUNCTIONS,
    HERE,
    MEGABYTE,
    PATIENCE,
    Answer,
    ask,
    folder_with,
    head,
    received,
    refused,
)
from tests.integration.processes import free_port, twistd, until


def echo(x: Any) -> Any:
    return x


def who() -> str:
    identity = current_call().peer.identity
    return identity.name if identity else "anybody"


class ScenarioTests(TestCase):
    """A server in this process."""

    async def serve(self, *exposed: Any, **options: Any) -> int:
        """Its HTTP port."""
        self.server = SlackerServer([{"n": {"echo": echo, "who": who}}, *exposed], **options)
        self.addCleanup(self.server.stop)
        port = await self.server.listen_http(HERE)
        return int(port.getHost().port)  # type: ignore[attr-defined]  # it is TCP

    async def test_twisteds_own_client_calls_in_every_format(self) -> None:
        from twisted.internet import reactor

        port = await self.serve()
        pool = HTTPConnectionPool(reactor)
        self.addCleanup(pool.closeCachedConnections)
        agent = Agent(reactor, pool=pool)
        for name in ["json", "clj", "msgpack"]:
            response = await agent.request(
                b"POST",
                f"http://127.0.0.1:{port}/n/echo.{name}".encode(),
                Headers({"content-type": [f"application/{name}"]}),
                FileBodyProducer(BytesIO(dumps(name, [["ä", 1.5, None]]))),
            )
            self.assertEqual(response.code, HTTPStatus.OK)
            self.assertEqual(loads(name, await readBody(response)), ["ä", 1.5, None])
        self.assertEqual(len(self.server.connections), 1 if http_site.KEEPS_ORDER else 0)

    async def test_a_client_that_sends_too_much_reads_why_it_was_refused(self) -> None:
        port = await self.serve(limits=Limits(max_frame=MEGABYTE))

        def pieces() -> Iterator[bytes]:
            yield from [b"x" * MEGABYTE] * 20

        def call() -> list[int]:
            return [
                ask(port, "/n/echo.json", b"x" * (20 * MEGABYTE)).status,
                ask(port, "/n/echo.json", pieces()).status,
                ask(port, "/n/echo.json", b'["' + b"x" * (MEGABYTE - 4) + b'"]').status,
                ask(port, "/n/echo.json", b'["' + b"x" * (MEGABYTE - 100) + b'"]').status,
            ]

        self.assertEqual(
            await deferToThread(call), [413, 413, 500, 200]
        )  # 500: the result and a frame's head

    async def test_stopping_lets_a_running_call_end_and_takes_no_new_connection(self) -> None:
        later: Deferred[Any] = Deferred()
        port = await self.serve({"m": {"later": nonblocking(lambda: later)}})
        answered = deferToThread(ask, port, "/m/later.json")
        await until(lambda: self.server.calls_running == 1, "the call running")
        stopped = self.server.stop()
        await until(lambda: deferToThread(refused, port), "the port closed")
        later.callback("done")
        self.assertEqual((await answered).body, b'"done"')
        await stopped
        self.assertEqual(self.server.connections, set())

    async def test_a_client_that_hangs_up_cancels_its_call(self) -> None:
        # Closed, or only half of it: Twisted tells both in the same way, and most clients mean the same.
        ended: list[str] = []

        def wait() -> Deferred[Any]:
            return Deferred(lambda _: ended.append("canceled"))

        port = await self.serve({"m": {"wait": nonblocking(wait)}})
        for how in [socket.socket.close, lambda client: client.shutdown(socket.SHUT_WR)]:
            ended.clear()
            client = socket.create_connection(("127.0.0.1", port), PATIENCE)
            self.addCleanup(client.close)
            client.sendall(b"POST /m/wait.json HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: self.server.calls_running == 1, "the call running")
            how(client)
            await until(lambda: ended == ["canceled"] and not self.server.connections, "the call canceled")

    async def test_tokens_and_certificates_through_tls(self) -> None:
        folder = folder_with(self)
        authority = Authority(folder)
        certificate, key = authority.issue("server", hosts=["127.0.0.1"])
        token, digest = new_token("billing")
        known = {
            "tokens": {"billing": {"sha256": digest, "namespaces": ["n"]}},
            "certificates": {"ops": {"namespaces": ["n"]}},
        }
        # Clients' certificates are wanted, as soon as an authority of theirs is known.
        for client_ca, name in [(None, None), (authority.path, "ops"), (authority.path, "nobody")]:
            tls = ServerTls(certificate=certificate, key=key, client_ca=client_ca)
            port = await self.serve(tls=tls, auth=Authenticator(known))
            context = ssl.create_default_context(cafile=authority.path)
            if name is not None:
                context.load_cert_chain(*authority.issue(name))

            def call(headers: dict[str, str], port: int = port, context: Any = context) -> Any:
                return ask(port, "/n/who.json", context=context, headers=headers)

            bare = await deferToThread(call, {})
            self.assertEqual((bare.status, bare.body), (200, b'"ops"') if name == "ops" else (401, bare.body))
            given = await deferToThread(call, {"Authorization": f"Bearer {token}"})
            self.assertEqual((given.status, given.body), (200, b'"ops"' if name == "ops" else b'"billing"'))
            await self.server.stop()

    async def test_a_client_without_tls_is_refused_and_the_server_goes_on(self) -> None:
        authority = Authority(folder_with(self))
        certificate, key = authority.issue("server", hosts=["127.0.0.1"])
        port = await self.serve(tls=ServerTls(certificate=certificate, key=key))
        client = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.addCleanup(client.close)
        client.sendall(head())
        self.assertNotIn(b"HTTP", await deferToThread(received, client))
        context = ssl.create_default_context(cafile=authority.path)
        answer = await deferToThread(ask, port, "/n/echo.json", b"[1]", context=context)
        self.assertEqual(answer.body, b"1")

    async def test_connections_beyond_the_limit_are_closed_with_tls_too(self) -> None:
        certificate, key = Authority(folder_with(self)).issue("server", hosts=["127.0.0.1"])
        tls = ServerTls(certificate=certificate, key=key)
        http_port = await self.serve(tls=tls, limits=Limits(max_connections=1))
        port: Any = await self.server.listen(HERE)
        first = socket.create_connection(("127.0.0.1", http_port), PATIENCE)
        self.addCleanup(first.close)
        await until(lambda: len(self.server.connections) == 1, "the first connection")
        for number in [http_port, port.getHost().port]:
            with socket.create_connection(("127.0.0.1", number), PATIENCE) as second:
                self.assertEqual(await deferToThread(received, second), b"")
        self.assertEqual(len(self.server.connections), 1)


class TwistdTests(TestCase):
    async def test_auth_holds_for_http_too(self) -> None:
        token, digest = new_token("billing")
        known = f'[tokens.billing]\nsha256 = "{digest}"\nnamespaces = ["functions"]\n'
        folder = folder_with(self, {"functions.py": FUNCTIONS, "auth.toml": known})
        port = free_port(self)
        child = twistd(
            *["slacker", "--expose", "functions", "--expose", "json", "--auth", "auth.toml"],
            *["--http", f"tcp:{port}:interface=127.0.0.1"],
            cwd=folder,
        )
        self.addCleanup(child.clean_up)
        await until(lambda: deferToThread(lambda: not refused(port)), "the server listening")

        def call(path: str, headers: dict[str, str]) -> Answer:
            return ask(port, path, b'["x"]', headers=headers)

        mine = {"Authorization": f"Bearer {token}"}
        for path, headers, status in [
            ("/functions/echo.json", {}, 401),
            ("/functions/echo.json", {"Authorization": "Bearer billing:nonsense"}, 401),
            ("/functions/echo.json", mine, 200),
            ("/json/dumps.json", mine, 403),
        ]:
            answer = await deferToThread(call, path, headers)
            self.assertEqual(answer.status, status, answer.body)
