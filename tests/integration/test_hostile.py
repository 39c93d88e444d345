"""What a hostile client can do to a server: nothing to honest ones, and bounded memory to its process."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from slacker import Client, ServerBusy
from slacker.wire import Decoder, Error, Frame, Interrupt, Ping, Pong, Request, Response, encode
from tests.integration.processes import Child, free_port, twistd, until

CLJ, MSGPACK = 2, 30
FRAME_TIMEOUT = 1.0
PATIENCE = 20.0  # seconds that a socket of these tests waits
MEGABYTE = 1024 * 1024

FUNCTIONS = """\
import time

from slacker.server import nonblocking

def echo(x):
    return x

def big():
    return "x" * 1_000_000

@nonblocking
def large():
    return "x" * 50_000

def large_in_worker():
    return "x" * 50_000

def slow(seconds):
    time.sleep(seconds)
    return seconds
"""


class Hostile:
    """A peer on a plain blocking socket, which is used in a thread."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._decoder = Decoder()

    def __enter__(self) -> Hostile:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, *frames: Frame | bytes) -> None:
        self._socket.sendall(b"".join(f if isinstance(f, bytes) else encode(f) for f in frames))

    def receive(self, count: int) -> list[Frame]:
        """So many frames, or those that came before the server closed."""
        frames: list[Frame] = []
        while len(frames) < count:
            data = self._socket.recv(65_536)
            if not data:
                break
            frames += self._decoder.feed(data)
        return frames

    def ask(self, *frames: Frame | bytes, answers: int = 1) -> list[Frame]:
        self.send(*frames)
        return self.receive(answers)

    def closed(self) -> bool:
        """Whether the server closes, after whatever it still has to say."""
        try:
            while self._socket.recv(65_536):
                pass
        except ConnectionError:
            return True  # with a reset
        except TimeoutError:
            return False
        return True

    def stop_writing(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def send_until_it_blocks(self, data: bytes, at_most: int) -> int:
        """How many bytes the server and the kernels between took from a peer that reads nothing."""
        self._socket.settimeout(2.0)
        sent = 0
        try:
            while sent < at_most:
                sent += self._socket.send(data)
        except TimeoutError:
            pass
        return sent


def call(tid: int, function: str = "echo", data: bytes = b"[1]", **more: Any) -> Request:
    return Request(tid, CLJ, f"functions/{function}", data, **more)


class HostileTests(TestCase):
    """One server process, an honest client beside each hostile one, and a look at the memory at the end."""

    timeout = 120.0

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        folder = folder_with_functions(self.mktemp())
        self.port = free_port(self)
        self.server: Child = twistd(
            *("slacker", "--expose", "functions", "--listen", f"tcp:{self.port}:interface=127.0.0.1"),
            *("--limit", f"frame-timeout={FRAME_TIMEOUT}", "--limit", "max-connections=50"),
            cwd=folder,
        )
        self.addCleanup(self.server.clean_up)
        self.honest = Client(f"127.0.0.1:{self.port}")
        self.addCleanup(self.honest.close)
        await until(lambda: Deferred.fromCoroutine(self.answers()), "the server answering")
        self.memory = resident(self.server.pid)

    async def answers(self) -> bool:
        try:
            return bool(await self.honest.call("functions", "echo", [True]))
        except Exception:  # it does not listen yet
            return False

    async def attack(self, attack: Callable[[Hostile], Any], *, most_memory: int = 40 * MEGABYTE) -> Any:
        """Let a hostile client do this, while an honest one calls; then see that all is well."""

        def run() -> Any:
            with Hostile(self.port) as hostile:
                return attack(hostile)

        attacking = deferToThread(run)
        calls = 0
        while not attacking.called or calls < 10:
            self.assertEqual(await self.honest.call("functions", "echo", [calls]), calls)
            calls += 1
        result = await attacking
        self.assertEqual(await self.honest.call("functions", "echo", ["well"]), "well")
        self.assertTrue(self.server.running, self.server.output)
        self.assertNotIn("Traceback", self.server.output)
        self.assertLess(resident(self.server.pid) - self.memory, most_memory)
        return result

    async def test_a_frame_that_announces_four_gigabytes_is_refused_unread(self) -> None:
        announced = bytes.fromhex("0600000007 00 02 0003 612f62 ffffffff".replace(" ", ""))

        def attack(hostile: Hostile) -> Any:
            return hostile.ask(announced), hostile.closed()

        self.assertEqual(await self.attack(attack), ([Error(7, 21)], True))

    async def test_127_extensions_are_echoed_and_128_are_refused(self) -> None:
        extensions = tuple((number, b"1") for number in range(127))

        def most(hostile: Hostile) -> Any:
            return hostile.ask(call(1, extensions=extensions))

        def too_many(hostile: Hostile) -> Any:
            frame = encode(call(1))[:-1] + b"\x80" + struct.pack(">hH", 1, 0) * 128
            return hostile.ask(frame), hostile.closed()

        self.assertEqual(await self.attack(most), [Response(1, CLJ, 0, b"1", extensions)])
        self.assertEqual(await self.attack(too_many), ([Error(1, 21)], True))

    async def test_arguments_nested_a_hundred_thousand_deep_fail_that_call_only(self) -> None:
        def attack(hostile: Hostile) -> Any:
            deep = [call(1, data=b"[" * 100_000), call(2, data=b"[" * 100_000 + b"]" * 100_000)]
            packed = Request(3, MSGPACK, "functions/echo", b"\x91" * 100_000)
            return hostile.ask(*deep, packed, Ping(4), answers=4)

        frames = await self.attack(attack)
        codes = {frame.tid: frame.code for frame in frames if isinstance(frame, Response)}
        self.assertEqual(codes, {1: 12, 2: 12, 3: 12})
        self.assertIn(Pong(4), frames)

    async def test_names_and_texts_that_are_no_utf_8_fail_that_call_only(self) -> None:
        bad_name = bytes.fromhex("060000000100020002c3280000000000")

        def attack(hostile: Hostile) -> Any:
            return hostile.ask(bad_name, call(2, data=b'["\xff"]'), Ping(3), answers=3)

        frames = await self.attack(attack)
        self.assertIn(Error(1, 21), frames)
        self.assertIn(Pong(3), frames)
        [failed] = [frame for frame in frames if isinstance(frame, Response)]
        self.assertEqual((failed.tid, failed.code), (2, 12))

    async def test_ten_thousand_pending_calls_are_answered_or_refused(self) -> None:
        def attack(hostile: Hostile) -> Any:
            hostile.send(b"".join(encode(call(tid, "slow", b"[0.001]")) for tid in range(1, 10_001)))
            return hostile.receive(10_000)

        frames = await self.attack(attack)
        kinds = [frame.code for frame in frames if isinstance(frame, (Response, Error))]
        self.assertEqual(len(kinds), 10_000)
        self.assertEqual(set(kinds), {0, 13})

    async def test_ids_that_are_used_again_and_interrupted_are_all_answered(self) -> None:
        def attack(hostile: Hostile) -> Any:
            hostile.send(*[call(7, "slow", b"[0.05]")] * 20, *[Interrupt(7)] * 20, *[Interrupt(8)] * 20)
            return hostile.receive(20)

        frames = await self.attack(attack)
        self.assertEqual({frame.tid for frame in frames}, {7})
        self.assertEqual(len(frames), 20)

    async def test_a_hello_under_version_5_and_http_are_refused_and_closed(self) -> None:
        def hello(hostile: Hostile) -> Any:
            return hostile.ask(bytes.fromhex("05000000000a00000000")), hostile.closed()

        def http(hostile: Hostile) -> Any:
            [answer] = hostile.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return answer, hostile.closed()

        self.assertEqual(await self.attack(hello), ([Error(0, 21, 5)], True))
        answer, closed = await self.attack(http)
        self.assertEqual((answer.code, closed), (20, True))

    async def test_who_says_nothing_or_trickles_a_frame_is_closed(self) -> None:
        def silent(hostile: Hostile) -> bool:
            return hostile.closed()

        def trickler(hostile: Hostile) -> bool:
            hostile.send(Ping(1))
            hostile.receive(1)
            hostile.send(encode(call(1))[:-1])
            return hostile.closed()

        self.assertTrue(await self.attack(silent))
        self.assertTrue(await self.attack(trickler))

    async def test_who_sends_and_never_reads_is_not_read_any_more(self) -> None:
        requests = b"".join(encode(call(tid, data=b'["' + b"x" * 10_000 + b'"]')) for tid in range(1, 100))

        def attack(hostile: Hostile) -> int:
            return hostile.send_until_it_blocks(requests, 200 * MEGABYTE)

        self.assertLess(await self.attack(attack), 100 * MEGABYTE)

    async def test_who_asks_for_much_in_one_read_makes_few_calls_run_until_it_reads(self) -> None:
        requests = b"".join(encode(call(tid, "large", b"")) for tid in range(1, 2_501))  # of 125 MB

        def attack(hostile: Hostile) -> int:
            hostile.send(requests)
            time.sleep(0.5)
            before = resident(self.server.pid)
            self.assertEqual([frame.tid for frame in hostile.receive(2_500)], list(range(1, 2_501)))
            return before

        self.assertLess(await self.attack(attack) - self.memory, 20 * MEGABYTE)

    async def test_an_honest_client_gets_all_of_it_and_of_what_workers_make(self) -> None:
        for function in ("large", "large-in-worker"):
            calls = [self.honest.call("functions", function, timeout=60.0) for _ in range(2_500)]
            for answered, result in await DeferredList(calls, consumeErrors=True):
                if answered:
                    self.assertEqual(len(result), 50_000)
                else:
                    self.assertIsInstance(result.value, ServerBusy)
            self.assertTrue(await self.answers())

    async def test_who_asks_for_much_and_never_reads_is_closed(self) -> None:
        def attack(hostile: Hostile) -> bool:
            hostile.send(*[call(tid, "big", b"") for tid in range(1, 501)])
            return True

        self.assertTrue(await self.attack(attack, most_memory=300 * MEGABYTE))

    async def test_who_stops_to_write_gets_the_connection_closed(self) -> None:
        def attack(hostile: Hostile) -> bool:
            hostile.send(call(1))
            hostile.receive(1)
            hostile.stop_writing()
            return hostile.closed()

        self.assertTrue(await self.attack(attack))

    async def test_connections_beyond_the_limit_are_closed_and_the_honest_one_lives(self) -> None:
        def attack(hostile: Hostile) -> int:
            others = []
            for _ in range(60):
                others.append(Hostile(self.port))
                with contextlib.suppress(ConnectionError):
                    others[-1].send(Ping(1))  # at once, since one that says nothing is closed soon
            answered = 0
            for other in others:
                with contextlib.suppress(ConnectionError):
                    answered += other.receive(1) == [Pong(1)]
            for other in others:
                other.__exit__()
            return answered

        # The first hostile connection says nothing, and may be gone by then.
        self.assertIn(await self.attack(attack), (48, 49))


def folder_with_functions(name: str) -> Path:
    folder = Path(name).resolve()
    folder.mkdir()
    (folder / "functions.py").write_text(FUNCTIONS)
    return folder


def resident(pid: int) -> int:
    """The bytes of memory that a process uses now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")
