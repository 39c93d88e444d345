"""The nights that a cluster must survive: two client processes call three server processes, and things die.

Together the clients make at least a thousand calls a second.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import DeferredList
from twisted.trial.unittest import TestCase

from slacker.cluster.layout import Layout, is_server
from slacker.zookeeper import ZookeeperClient
from tests.integration.processes import Child, free_port, pause, python, twistd, until
from tests.integration.proxy import Proxy
from tests.integration.real_zookeeper import RealZooKeeper, require_real_zookeeper
from tests.soak.load import CALLERS

CLUSTER = "night"
SESSION = 8.0  # seconds; more than a client takes to notice by itself, so that ZooKeeper does not tell it
KEEPALIVE = 3.0  # seconds in which a client (with keepalive=2.0) notices a silent server, at the latest
NOTICE = 2.0  # seconds in which a client notices that a process died, on a busy machine
LEAST = 1000  # calls per second of both clients together

MODULE = """\
import os, time

def where():
    time.sleep(0.002)
    return os.environ["ADDRESS"]
"""


@define
class Report:
    """What one client saw since its last report."""

    answered: int
    by_answer: dict[str, int]
    failures: list[tuple[float, str, str]]  # when the call began, error, message
    failed: int
    slowest: float


def folder_with_module(name: str) -> Path:
    """Where the servers find what they expose."""
    folder = Path(name).resolve()
    folder.mkdir()
    (folder / "service.py").write_text(MODULE)
    return folder


class Night(TestCase):
    """Servers and clients as processes."""

    timeout = 300.0
    nodes = 1

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        require_real_zookeeper(self)
        self.folder = folder_with_module(self.mktemp())
        self.zookeeper = RealZooKeeper(nodes=self.nodes)
        self.addCleanup(self.zookeeper.stop)
        await self.zookeeper.start()
        self.servers: dict[str, Child] = {}
        self.reports: dict[Child, int] = {}

    def serve(self, address: str | None = None, zk: str | None = None) -> str:
        """Start a server, again or at a new address."""
        address = address or f"127.0.0.1:{free_port(self)}"
        port = address.rpartition(":")[2]
        child = twistd(
            "slacker",
            *("--expose", "service", "--listen", f"tcp:{port}:interface=127.0.0.1"),
            *("--cluster", CLUSTER, "--zk", zk or self.zookeeper.connect_string),
            *("--zk-session-timeout", str(SESSION), "--node", address),
            cwd=self.folder,
            env={"ADDRESS": address},
        )
        self.addCleanup(child.clean_up)
        self.servers[address] = child
        return address

    async def load(self, **options: Any) -> Child:
        """A client process that calls, as soon as all servers are there."""
        for server in self.servers.values():
            await server.printed(" is published in ", patience=60)
        child = python(
            *("-m", "tests.soak.load", self.zookeeper.connect_string, CLUSTER, "service/where"),
            json.dumps(options),
        )
        self.addCleanup(child.clean_up)
        self.reports[child] = 0
        await child.printed("calling", patience=60)
        return child

    async def report(self, client: Child) -> Report:
        """What the client saw since the last time."""
        client.signal("USR1")
        return await self._next_report(client)

    async def end(self, client: Child) -> Report:
        """Let it end its calls; what it saw at the end."""
        client.signal("TERM")
        report = await self._next_report(client)
        self.assertEqual(await client.ended(), 0, client.output)
        return report

    async def _next_report(self, client: Child) -> Report:
        self.reports[client] += 1
        await client.printed("report ", times=self.reports[client])
        await until(lambda: client.output.endswith("\n"), "a whole line")
        lines = [line for line in client.output.splitlines() if line.startswith("report ")]
        return Report(**json.loads(lines[-1].removeprefix("report ")))

    async def calm(self, *clients: Child) -> None:
        """Wait until both clients use all servers; forget what was before."""
        for client in clients:
            for _ in range(100):
                await self.report(client)
                await pause(0.3)
                seen = await self.report(client)
                if set(seen.by_answer) >= set(self.servers):
                    break
            else:
                self.fail(f"not all servers are used: {seen}")

    def assert_busy(self, seconds: float, *reports: Report) -> None:
        rate = sum(report.answered for report in reports) / seconds
        self.assertGreater(rate, LEAST, f"only {rate:.0f} calls/s")

    async def watcher(self) -> ZookeeperClient:
        client = ZookeeperClient(self.zookeeper.connect_string)
        self.addCleanup(client.close)
        return await client.connect()

    async def registered(self, zookeeper: ZookeeperClient) -> tuple[set[str], str, int]:
        """The namespace's servers, its leader, and how many stand in the election."""
        layout = Layout("/slacker/cluster", CLUSTER)
        children = await zookeeper.get_children(layout.namespace("service"))
        leader, _ = await zookeeper.get(layout.leader("service"))
        candidates = await zookeeper.get_children(layout.mutex("service"))
        return {child for child in children if is_server(child)}, (leader or b"").decode(), len(candidates)


class ProcessTests(Night):
    async def start(self, *options: dict[str, Any]) -> list[Child]:
        for _ in range(3):
            self.serve()
        clients = [await self.load(**each) for each in options]
        await self.calm(*clients)
        return clients

    async def test_in_a_rolling_restart_no_call_fails(self) -> None:
        clients = await self.start({}, {})
        began = time.time()
        for address in list(self.servers):
            self.assertEqual(await self.servers[address].stop("TERM"), 0)
            self.serve(address)
            await self.servers[address].printed("is published")
            await pause(1.0)
        reports = [await self.end(client) for client in clients]
        self.assert_busy(time.time() - began, *reports)
        self.assertEqual([report.failures for report in reports], [[], []])
        for report in reports:
            self.assertEqual(set(report.by_answer), set(self.servers))

    async def test_a_killed_server_costs_the_calls_in_flight_on_it_or_none_that_may_run_twice(self) -> None:
        plain, twice = await self.start({}, {"retries": 1})
        killed_at = time.time()
        victim = next(iter(self.servers))
        await self.servers.pop(victim).stop("KILL")
        await pause(SESSION + 2)
        first, second = await self.end(plain), await self.end(twice)
        self.assert_busy(time.time() - killed_at, first, second)
        self.assertEqual(second.failures, [])
        self.assertLessEqual(first.failed, CALLERS, first.failures)
        for began, kind, message in first.failures:
            self.assertEqual(kind, "ConnectionLost", message)
            self.assertLess(began, killed_at + NOTICE)

    async def test_a_stopped_server_is_avoided_within_the_keepalive_limit_and_used_again_after(self) -> None:
        clients = await self.start({}, {})
        stopped_at = time.time()
        victim = next(iter(self.servers))
        self.servers[victim].signal("STOP")
        await pause(20.0)
        reports = [await self.report(client) for client in clients]
        for report in reports:
            for began, kind, message in report.failures:
                self.assertIn(kind, ("ConnectionLost", "NotSent"), message)
                self.assertLess(began, stopped_at + KEEPALIVE + NOTICE)
        self.assert_busy(20.0, *reports)
        self.servers[victim].signal("CONT")
        await self.calm(*clients)
        for client in clients:
            self.assertEqual((await self.end(client)).failures, [])

    async def test_the_leader_is_killed_and_calls_of_the_leader_follow_the_next_one(self) -> None:
        for _ in range(3):
            self.serve()
        clients = [await self.load(grouping="leader", timeout=30.0) for _ in range(2)]
        zookeeper = await self.watcher()
        _, leader, _ = await self.registered(zookeeper)
        for client in clients:
            await self.report(client)
        await pause(1.0)
        for client in clients:
            self.assertEqual(set((await self.report(client)).by_answer), {leader})
        killed_at = time.time()
        await self.servers.pop(leader).stop("KILL")

        async def followed() -> bool:
            _, new_leader, candidates = await self.registered(zookeeper)
            return new_leader in self.servers and candidates == 2

        await until(followed, "the next leader")
        await pause(3.0)
        reports = [await self.end(client) for client in clients]
        _, new_leader, _ = await self.registered(zookeeper)
        for report in reports:
            self.assertEqual(set(report.by_answer) - {leader}, {new_leader})
            self.assertLessEqual(report.failed, CALLERS, report.failures)
            for began, kind, message in report.failures:
                self.assertEqual(kind, "ConnectionLost", message)
                self.assertLess(began, killed_at + NOTICE)


class EnsembleTests(Night):
    nodes = 3

    async def test_the_whole_ensemble_is_gone_for_half_a_minute_and_no_call_fails(self) -> None:
        for _ in range(3):
            self.serve()
        clients = [await self.load(), await self.load()]
        await self.calm(*clients)
        began = time.time()
        await DeferredList([self.zookeeper.kill(index) for index in range(3)])
        await pause(30.0)
        reports = [await self.report(client) for client in clients]
        self.assert_busy(time.time() - began, *reports)
        await DeferredList([self.zookeeper.restart(index) for index in range(3)])
        await self.all_back(time.time())
        reports += [await self.end(client) for client in clients]
        self.assertEqual([report.failures for report in reports], [[]] * 4)

    async def test_the_servers_sessions_expire_and_no_call_fails(self) -> None:
        proxies = [Proxy(address) for address in self.zookeeper.addresses]
        for proxy in proxies:
            await proxy.start()
            self.addCleanup(proxy.stop)
        zk = ",".join(proxy.address for proxy in proxies)
        for _ in range(3):
            self.serve(zk=zk)
        clients = [await self.load(), await self.load()]
        await self.calm(*clients)
        zookeeper = await self.watcher()
        began = time.time()
        for proxy in proxies:
            proxy.cut()

        async def expired() -> bool:
            return (await self.registered(zookeeper))[0] == set()

        await until(expired, "the sessions expiring")
        await pause(1.0)
        for proxy in proxies:
            proxy.restore()
        await self.all_back(time.time())
        reports = [await self.report(client) for client in clients]
        self.assert_busy(time.time() - began, *reports)
        await self.calm(*clients)
        reports += [await self.end(client) for client in clients]
        self.assertEqual([report.failures for report in reports], [[]] * 4)

    async def all_back(self, quorum_at: float) -> None:
        """All registrations and one leader, within six seconds."""
        zookeeper = await self.watcher()

        async def back() -> bool:
            servers, leader, candidates = await self.registered(zookeeper)
            return servers == set(self.servers) and leader in servers and candidates == 3

        await until(back, "all registrations and a leader", patience=max(0.1, quorum_at + 6 - time.time()))
