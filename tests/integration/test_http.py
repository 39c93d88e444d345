"""The HTTP gateway through real sockets: honest clients, hostile ones, TLS, tokens and twistd."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from unittest import skipUnless

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
from tests.integration.processes import Child, free_port, twistd, until

HERE = "tcp:0:interface=127.0.0.1"
PATIENCE = 30.0  # seconds that a socket of these tests waits
MEGABYTE = 1024 * 1024

FUNCTIONS = """\
def echo(x):
    return x

def big():
    return "x" * 1_000_000
"""


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
            ]

        self.assertEqual(await deferToThread(call), [413, 413, 200])

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


class HostileTests(TestCase):
    """A server in a process of its own, an honest client beside each hostile one, a look at its memory."""

    timeout = 120.0

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        folder = folder_with(self, {"functions.py": FUNCTIONS})
        self.port = free_port()
        self.child: Child = twistd(
            *["slacker", "--expose", "functions", "--http", f"tcp:{self.port}:interface=127.0.0.1"],
            *["--limit", "frame-timeout=1", "--limit", f"max-frame={MEGABYTE}"],
            *["--limit", f"max-unsent={8 * MEGABYTE}", "--limit", "max-connections=50"],
            cwd=folder,
        )
        self.addCleanup(self.child.clean_up)
        await until(lambda: deferToThread(lambda: not refused(self.port)), "the server listening")
        self.assertEqual((await self.honest()).status, 200)
        self.memory = self.peak()

    def peak(self) -> int:
        """The most memory that the server has had, in bytes."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024

    def honest(self) -> Deferred[Answer]:
        return deferToThread(ask, self.port, "/functions/echo.json", b"[1]")

    async def attack(self, attack: Callable[[socket.socket], Any], most_memory: int = 20 * MEGABYTE) -> Any:
        """Let a hostile client do this, while an honest one calls; then see that all is well."""

        def run() -> Any:
            with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as hostile:
                return attack(hostile)

        attacking = deferToThread(run)
        calls = 0
        while not attacking.called or calls < 3:
            self.assertEqual((await self.honest()).body, b"1")
            calls += 1
        result = await attacking
        self.assertTrue(self.child.running, self.child.output)
        self.assertNotIn("Traceback", self.child.output)
        self.assertLess(self.peak() - self.memory, most_memory)
        return result

    async def test_a_length_of_gigabytes_is_refused_unread(self) -> None:
        def attack(hostile: socket.socket) -> Any:
            answers = []
            for length in [b"4294967296", b"9" * 4000]:
                with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as each:
                    each.sendall(head(b"Content-Length: " + length + b"\r\nExpect: 100-continue"))
                    answers.append(received(each))
            return answers

        for answer in await self.attack(attack):
            self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)

    async def test_a_chunked_body_without_end_is_refused_and_closed(self) -> None:
        def attack(hostile: socket.socket) -> float:
            hostile.sendall(head(b"Transfer-Encoding: chunked"))
            began = monotonic()
            try:
                while monotonic() - began < PATIENCE:
                    hostile.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            except ConnectionError:
                pass
            return monotonic() - began

        self.assertLess(await self.attack(attack), PATIENCE)

    async def test_a_request_that_trickles_and_a_client_that_says_nothing_are_closed(self) -> None:
        def trickle(hostile: socket.socket) -> bytes:
            hostile.settimeout(0.1)
            for byte in head(b"Content-Length: 3"):
                hostile.sendall(bytes([byte]))
                try:
                    return hostile.recv(65_536)
                except TimeoutError:
                    continue
            return b""

        self.assertTrue((await self.attack(trickle)).startswith(b"HTTP/1.1 408 "))
        self.assertEqual(await self.attack(received), b"")

    async def test_bad_escapes_methods_and_versions_are_answered_or_closed(self) -> None:
        def attack(hostile: socket.socket) -> Any:
            statuses = []
            for line in [
                *[
                    b"POST /functions/%zz.json HTTP/1.1",
                    b"POST /%ff/%.json HTTP/1.1",
                    b"POST /%00%0d%0a HTTP/1.1",
                ],
                *[
                    b"BREW /functions/echo.json HTTP/1.1",
                    b"OPTIONS * HTTP/1.1",
                    b"nonsense",
                    b"\x16\x03\x01\x00",
                ],
                *[b"POST http://x/functions/echo.json HTTP/1.1", b"POST / HTTP/1.1\r\nContent-Length: -1"],
                *[b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", b"A" * 20_000],
            ]:
                with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as each:
                    each.sendall(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
                    statuses.append(received(each)[9:12])
            return statuses

        expected = [b"404", b"400", b"404", b"405", b"200", b"400", b"400", b"404", b"400", b"400"]
        self.assertEqual((await self.attack(attack))[:-1], expected)

    async def test_a_client_that_asks_in_one_go_and_never_reads_is_closed(self) -> None:
        def attack(hostile: socket.socket) -> float:
            hostile.sendall(b"POST /functions/big.json HTTP/1.1\r\nHost: x\r\n\r\n" * 10_000)
            began = monotonic()
            try:
                while monotonic() - began < PATIENCE:
                    hostile.sendall(b"x")
                    sleep(0.05)
            except ConnectionError:
                pass
            return monotonic() - began

        self.assertLess(await self.attack(attack, 40 * MEGABYTE), PATIENCE)

    @skipUnless(http_site.KEEPS_ORDER, "with this Twisted, connections end with the answer")
    async def test_an_honest_pipeline_is_answered_in_order(self) -> None:
        def attack(hostile: socket.socket) -> list[bytes]:
            for number in range(100):
                body = b"[%d]" % number
                close = b"\r\nConnection: close" if number == 99 else b""
                hostile.sendall(head(b"Content-Length: %d%s" % (len(body), close)) + body)
            return [piece.partition(b"HTTP/1.1")[0] for piece in received(hostile).split(b"\r\n\r\n")[1:]]

        self.assertEqual(await self.attack(attack), [b"%d" % number for number in range(100)])

    async def test_more_connections_than_allowed_are_closed_and_those_before_are_served(self) -> None:
        def attack(hostile: socket.socket) -> int:
            # The honest client needs one, too, and makes them one by one.
            others = [socket.create_connection(("127.0.0.1", self.port), PATIENCE) for _ in range(45)]
            try:
                return sum(received(other) == b"" for other in others)
            finally:
                for other in others:
                    other.close()

        self.assertEqual(await self.attack(attack), 45)


class TwistdTests(TestCase):
    async def test_auth_holds_for_http_too(self) -> None:
        token, digest = new_token("billing")
        known = f'[tokens.billing]\nsha256 = "{digest}"\nnamespaces = ["functions"]\n'
        folder = folder_with(self, {"functions.py": FUNCTIONS, "auth.toml": known})
        port = free_port()
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


def folder_with(test: TestCase, files: Mapping[str, str] | None = None) -> Path:
    """A new folder with these files."""
    folder = Path(test.mktemp()).resolve()
    folder.mkdir()
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    return folder


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.body = response.read()
        if self.status >= 400:
            assert {"error", "message"} <= json.loads(self.body).keys()


def ask(
    port: int,
    path: str,
    body: bytes | Iterator[bytes] | None = None,
    *,
    headers: dict[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """One call on a connection of its own, in a thread."""
    if context is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=context)
    try:
        connection.request("POST", path, body, headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def refused(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionError:
        return True
    return False


def head(*lines: bytes) -> bytes:
    return b"\r\n".join([b"POST /functions/echo.json HTTP/1.1", b"Host: x", *lines, b"", b""])


def received(client: socket.socket) -> bytes:
    """All that comes before the server closes."""
    data = b""
    try:
        while piece := client.recv(65_536):
            data += piece
    except ConnectionError:
        pass  # with a reset
    return data
