"""What a hostile client can do to the HTTP gateway."""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import chain, repeat
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from unittest import skipUnless

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from slacker.server import http_site
from tests.integration.http_calls import (
    FUNCTIONS,
    MEGABYTE,
    PATIENCE,
    Answer,
    ask,
    folder_with,
    head,
    received,
    refused,
)
from tests.integration.processes import Child, free_port, twistd, until


class HostileTests(TestCase):
    """A server in a process of its own, an honest client beside each hostile one, a look at its memory."""

    timeout = 120.0

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        folder = folder_with(self, {"functions.py": FUNCTIONS})
        self.port = free_port(self)
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
            began = monotonic()
            for byte in chain(b"POST /functions/echo.json HTTP/1.1\r\nX: ", repeat(ord("x"))):
                hostile.sendall(bytes([byte]))
                try:
                    return hostile.recv(65_536)
                except TimeoutError:
                    if monotonic() - began > PATIENCE:
                        break
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
