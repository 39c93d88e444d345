"""Callers of every kind, as programs of their own, through real sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from slacker import Client, ClusterServer, SlackerServer
from slacker.client import blocking
from slacker.errors import ConfigurationError
from slacker.server import nonblocking
from slacker.zookeeper.embedded import EmbeddedZooKeeper
from tests.integration.processes import Child, python, until

LOOPBACK = "tcp:0:interface=127.0.0.1"


def fail() -> None:
    raise ValueError("no")


class CallersTestCase(TestCase):
    timeout = 120.0

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        self.waits = self.cancelled = 0
        functions: dict[str, Callable[..., Any]] = {
            "add-up": lambda *numbers: sum(numbers),
            "fail": fail,
            "wait": self.wait,
            "cancelled": lambda: self.cancelled,
        }
        self.server, self.address = await self.serve(nonblocking({"math": functions}))

    def wait(self) -> Deferred[None]:
        def cancel(_: object) -> None:
            self.cancelled += 1

        self.waits += 1
        return Deferred(cancel)

    async def serve(self, *exposed: Any) -> tuple[SlackerServer, str]:
        server = SlackerServer(exposed)
        self.addCleanup(server.stop)
        port: Any = await server.listen(LOOPBACK)
        return server, f"127.0.0.1:{port.getHost().port}"

    def start(self, program: str, address: str) -> Child:
        """One of the programs in the folder ``callers``."""
        child = python("-W", "default", "-m", f"tests.integration.callers.{program}", address)
        self.addCleanup(child.clean_up)
        return child

    async def finish(self, child: Child) -> None:
        """It has to end by itself, and to have nothing to complain about."""
        status = await child.ended()
        self.assertEqual((status, child.output.strip().splitlines()[-1:]), (0, ["done"]), child.output)
        self.assertEqual(child.errors, "")


class ProgramTests(CallersTestCase):
    async def test_asyncio_run_needs_no_more_than_a_client(self) -> None:
        await self.finish(self.start("asyncio_run", self.address))

    async def test_asyncio_tasks_under_asyncioreactor(self) -> None:
        await self.finish(self.start("asyncio_reactor", self.address))

    async def test_the_reactor_can_be_installed_before_the_event_loop_runs(self) -> None:
        await self.finish(self.start("own_loop", self.address))

    async def test_threads_wait_and_a_fork_a_stuck_reactor_and_ctrl_c_do_no_harm(self) -> None:
        child = self.start("waiting", self.address)
        await child.printed("waiting")
        await until(lambda: self.waits == 2, "the call that is interrupted")
        child.signal("INT")
        await self.finish(child)


class WorkerTests(CallersTestCase):
    """On the reactor of this process, which crochet does not run."""

    async def test_a_plain_function_of_a_server_may_call_another_server_and_wait(self) -> None:
        def add_twice(number: int) -> Any:
            with blocking.Client(self.address) as client:
                return client.call("math", "add-up", [number, number])

        _, address = await self.serve({"front": {"add-twice": add_twice}})
        client = Client(address)
        self.addCleanup(client.close)
        self.assertEqual(await client.call("front", "add-twice", [21]), 42)

    async def test_on_the_reactors_thread_it_refuses_to_wait(self) -> None:
        client = await deferToThread(blocking.Client, self.address)
        with self.assertRaises(ConfigurationError):
            client.call("math", "add-up", [1])
        self.assertRaises(ConfigurationError, blocking.Client, self.address)
        await deferToThread(client.close)


class ClusterTests(CallersTestCase):
    async def test_both_kinds_of_cluster_client_follow_zookeeper(self) -> None:
        zookeeper = EmbeddedZooKeeper()
        await zookeeper.listen(LOOPBACK)
        self.addCleanup(zookeeper.stop)
        member = ClusterServer(self.server, "callers", zookeeper.address)
        self.addCleanup(member.stop)
        await member.listen(LOOPBACK)
        await member.when_published()
        await self.finish(self.start("cluster", zookeeper.address))
