"""A server's life: it listens, serves, drains and closes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from slacker.client import Client
from slacker.errors import ConfigurationError, ConnectionLost, NotSent, ServerBusy
from slacker.server import SlackerServer, nonblocking
from slacker.testing import Network

ADDRESS = "10.0.0.1:2104"


class DrainTests(SynchronousTestCase):
    """A server that stops finishes what runs, and takes nothing new."""

    def setUp(self) -> None:
        self.network = Network()
        self.waiting: list[Deferred[Any]] = []
        self.server = self.network.serve(
            ADDRESS, [nonblocking({"n": {"wait": self.wait, "echo": lambda x: x}})], drain_timeout=5.0
        )
        self.client = self.network.client(ADDRESS)
        self.addCleanup(self.client.close)

    def wait(self) -> Deferred[Any]:
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def test_running_calls_are_finished_and_new_ones_refused_as_not_run(self) -> None:
        running = self.client.call("n", "wait")
        self.network.flush()
        stopped = self.server.stop()
        refused = self.client.call("n", "echo", [1])
        self.network.flush()
        self.failureResultOf(refused, ServerBusy)
        self.assertNoResult(stopped)
        self.waiting[0].callback("done")
        self.network.flush()
        self.assertEqual(self.successResultOf(running), "done")
        self.network.advance(0.25)
        self.assertIsNone(self.successResultOf(stopped))
        self.assertFalse(self.client.connected)

    def test_while_calls_come_they_are_refused_and_only_then_connections_closed(self) -> None:
        self.client.call("n", "echo", [1])
        self.network.flush()
        stopped = self.server.stop()
        for _ in range(4):
            self.network.advance(0.2)
            refused = self.client.call("n", "echo", [1])
            self.network.flush()
            self.failureResultOf(refused, ServerBusy)
            self.assertNoResult(stopped)
        self.network.advance(0.25)
        self.network.advance(0.25)
        self.assertIsNone(self.successResultOf(stopped))

    def test_it_waits_no_longer_than_the_drain_timeout(self) -> None:
        running = self.client.call("n", "wait")
        self.network.flush()
        stopped = self.server.stop()
        self.network.advance(4.9)
        self.assertNoResult(stopped)
        self.network.advance(0.1)
        self.network.advance(0.25)
        self.assertIsNone(self.successResultOf(stopped))
        self.failureResultOf(running, ConnectionLost)

    def test_a_peer_that_does_not_read_does_not_keep_it_from_closing(self) -> None:
        self.client.connect()
        self.network.flush()
        [near] = self.network.connections(ADDRESS)
        near.reading = False
        near.other.write(b"x")
        stopped = self.server.stop()
        self.network.advance(1)
        self.assertIsNone(self.successResultOf(stopped))

    def test_stopping_an_idle_server_is_immediate(self) -> None:
        self.assertIsNone(self.successResultOf(self.server.stop()))

    def test_it_is_a_twisted_service(self) -> None:
        self.server.startService()
        self.assertTrue(self.server.running)
        self.assertIsNone(self.successResultOf(self.server.stopService()))
        self.assertFalse(self.server.running)


class QuietTests(SynchronousTestCase):
    """Whether calls still come."""

    def setUp(self) -> None:
        self.network = Network()
        self.server = self.network.serve(ADDRESS, [nonblocking({"n": {"echo": lambda x: x}})])
        self.client = self.network.client(ADDRESS)
        self.addCleanup(self.client.close)

    def test_it_is_quiet_when_no_call_came_for_so_long(self) -> None:
        quiet = self.server.when_quiet(0.25, at_most=2.0)
        for _ in range(3):
            self.client.call("n", "echo", [1])
            self.network.advance(0.25)
            self.assertNoResult(quiet)
        self.network.advance(0.25)
        self.assertIsNone(self.successResultOf(quiet))

    def test_it_does_not_wait_for_ever(self) -> None:
        quiet = self.server.when_quiet(0.25, at_most=1.0)
        for _ in range(4):
            self.assertNoResult(quiet)
            self.client.call("n", "echo", [1])
            self.network.advance(0.25)
        self.assertIsNone(self.successResultOf(quiet))


class SocketTests(TestCase):
    """The same through real sockets and real threads."""

    async def serve(self, **options: Any) -> tuple[SlackerServer, str]:
        server = SlackerServer([{"n": {"echo": lambda x: x, "add": lambda a, b: a + b}}], **options)
        self.addCleanup(server.stop)
        return server, await self.listen(server)

    async def listen(self, server: SlackerServer) -> str:
        port = await server.listen("tcp:0:interface=127.0.0.1")
        at = port.getHost()
        assert isinstance(at, IPv4Address)
        return f"127.0.0.1:{at.port}"

    async def test_many_calls_of_functions_in_workers_are_answered(self) -> None:
        _, address = await self.serve(threads=3)
        client = Client(address)
        self.addCleanup(client.close)
        calls = [client.call("n", "add", [number, 1]) for number in range(500)]
        self.assertEqual([await call for call in calls], [number + 1 for number in range(500)])

    async def test_a_large_value_goes_there_and_back(self) -> None:
        _, address = await self.serve()
        client = Client(address)
        self.addCleanup(client.close)
        value = "x" * 4_000_000
        self.assertEqual(await client.call("n", "echo", [value]), value)

    async def test_a_client_finds_a_server_that_was_started_again(self) -> None:
        server, address = await self.serve()
        client = Client(address)
        self.addCleanup(client.close)
        self.assertEqual(await client.call("n", "echo", [1]), 1)
        await server.stop()
        await self.until(lambda: not client.connected)
        with self.assertRaises(NotSent):
            await client.call("n", "echo", [2])
        again = SlackerServer([{"n": {"echo": lambda x: [x]}}])
        self.addCleanup(again.stop)
        await again.listen(f"tcp:{address.rpartition(':')[2]}:interface=127.0.0.1")
        await self.until(lambda: client.connected)
        self.assertEqual(await client.call("n", "echo", [3]), [3])

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(1000):
            if condition():
                return
            await deferLater(cast(IReactorTime, reactor), 0.01)
        self.fail("that took too long")

    async def test_a_port_in_use_is_an_error_of_twisteds(self) -> None:
        server, address = await self.serve()
        with self.assertRaises(CannotListenError):
            await server.listen(f"tcp:{address.rpartition(':')[2]}:interface=127.0.0.1")

    def test_a_string_that_is_no_endpoint_is_refused_with_an_example(self) -> None:
        server = SlackerServer([])
        for wrong in ["", "2104", "tcp:abc", "nonsense:1", "tcp:"]:
            error = self.assertRaises(ConfigurationError, server.listen, wrong)
            self.assertIn("tcp:2104", str(error))

    async def test_listening_again_is_possible_on_several_endpoints(self) -> None:
        server, first = await self.serve()
        for address in (first, await self.listen(server)):
            client = Client(address)
            self.addCleanup(client.close)
            self.assertEqual(await client.call("n", "echo", [1]), 1)
