"""A thousand servers: what they cost a client, while they join, stay, change and leave."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any, cast
from uuid import uuid4

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime
from twisted.trial.unittest import TestCase

from slacker import Client, ClusterClient
from slacker.client.pace import AT_ONCE, PAUSE
from slacker.content.values import Keyword
from slacker.errors import Unavailable
from tests.integration.many_servers import address
from tests.integration.processes import pause, python, until
from tests.integration.real_zookeeper import four_letter_word, require_real_zookeeper, shared_zookeeper

SERVERS = 1_000


class Attempts:
    """When each attempt to connect was begun."""

    def __init__(self, testcase: TestCase) -> None:
        self.times: list[float] = []
        connect = TCP4ClientEndpoint.connect

        def noted(endpoint: TCP4ClientEndpoint, factory: IProtocolFactory) -> Deferred[IProtocol]:
            from twisted.internet import reactor

            self.times.append(cast(IReactorTime, reactor).seconds())
            return connect(endpoint, factory)

        testcase.patch(TCP4ClientEndpoint, "connect", noted)

    @property
    def shortest(self) -> float:
        """Seconds from one attempt to the one that comes two bursts later, at least."""
        return min(later - one for one, later in pairwise(self.times[:: 2 * AT_ONCE]))


class ScaleCase(TestCase):
    timeout = 240.0

    async def zookeeper_of_servers(self) -> str:
        """Where the servers find ZooKeeper; empty if they bring their own."""
        raise NotImplementedError

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        self.name = f"c-{uuid4().hex[:8]}"
        zookeeper = await self.zookeeper_of_servers()
        self.servers = child = python(
            "-m", "tests.integration.many_servers", self.name, *([zookeeper] if zookeeper else [])
        )
        self.addCleanup(child.clean_up)
        await child.printed(" port ")
        found = re.search(r"zookeeper (\S+) port (\d+)", child.output)
        assert found is not None
        self.zookeeper, self.port = found[1], int(found[2])
        self.control = Client(f"127.0.0.1:{self.port}", timeout=120.0)
        self.addCleanup(self.control.close)
        await self.order("publish", 0, 0)  # connects
        self.cluster = self.new_client()

    def new_client(self) -> ClusterClient:
        """A client that follows ``n``."""
        client = ClusterClient(self.name, self.zookeeper, timeout=60.0)
        self.addCleanup(client.close)
        client.servers("n")
        return client

    async def order(self, what: str, *args: Any) -> Any:
        """Tell the servers to do something; fires when it is done."""
        return await self.control.call("control", what, args)

    async def sees(self, count: int) -> None:
        """Wait until the client is connected to the first so many servers, and to no others."""
        expected = {address(index, self.port) for index in range(count)}
        await until(
            lambda: set(self.cluster.servers("n")) == expected == set(self.clients),
            f"{count} servers connected",
            60.0,
        )

    @property
    def clients(self) -> dict[str, Client]:
        return self.cluster._routes.clients


class Scenarios(ScaleCase):
    async def test_a_thousand_servers_join_change_and_leave(self) -> None:
        attempts = Attempts(self)
        await self.order("publish", 0, SERVERS)
        await self.sees(SERVERS)
        self.assertEqual(len(attempts.times), SERVERS)
        self.assertGreaterEqual(attempts.shortest, PAUSE)
        await self.watches(2)

        for grouping in ("random", "first", "least-in-flight", "all", "weighted"):
            await self.cluster.function("n/echo", grouping=grouping, grouping_results="nil")("x")
        await until(lambda: self.weights() == {1: SERVERS}, "the weights being known")
        await self.watches(2 + SERVERS)

        calling = self.cluster.function("n/echo", grouping="weighted")
        await self.while_calling(calling, self.order("weigh", 0, SERVERS, 2))
        await until(lambda: self.weights() == {2: SERVERS}, "the new weights being known")

        await self.while_calling(calling, self.order("withdraw", SERVERS // 2, SERVERS))
        await self.sees(SERVERS // 2)
        await self.while_calling(calling, self.order("publish", SERVERS // 2, SERVERS))
        await self.sees(SERVERS)
        await until(lambda: sum(self.weights().values()) == SERVERS, "all weights being known")

        await self.break_line_to_zookeeper()
        await until(lambda: self.unread() == 0, "all being watched again")
        await self.watches(2 + SERVERS)
        other = self.new_client()
        await until(lambda: len(other.servers("n")) == SERVERS, "another client connecting", 60.0)

    async def test_a_thousand_servers_that_die_in_one_moment_are_tried_again_a_few_at_a_time(self) -> None:
        await self.order("publish", 0, SERVERS)
        await self.sees(SERVERS)
        attempts = Attempts(self)
        await self.servers.stop("KILL")
        await until(lambda: self.cluster.servers("n") == [], "all connections being broken")
        await until(lambda: len(attempts.times) >= 2 * SERVERS, "all having been tried twice", 60.0)
        self.assertGreaterEqual(attempts.shortest, PAUSE)
        with self.assertRaises(Unavailable):
            await self.cluster.call("n", "echo", ["x"], timeout=0.5)

    async def while_calling(self, call: Callable[[str], Awaitable[Any]], done: Awaitable[Any]) -> None:
        """Call until it is done; none of the calls may fail."""
        from twisted.internet.defer import ensureDeferred

        waiting = ensureDeferred(_awaited(done))
        while not waiting.called:
            await call("x")
            await pause(0.001)
        await waiting

    def weights(self) -> dict[Any, int]:
        """How many servers say which weight."""
        found: dict[Any, int] = {}
        for own in self.clients:
            data = self.cluster.server_data(own)
            if data is not None:
                weight = data[Keyword("weight")]
                found[weight] = found.get(weight, 0) + 1
        return found

    def unread(self) -> int:
        """Watches that are yet to be set."""
        zookeeper = self.cluster._zookeeper
        assert zookeeper is not None
        return 2 + SERVERS - len(zookeeper._watches._pending) if zookeeper.connected else SERVERS

    async def break_line_to_zookeeper(self) -> None:
        zookeeper = self.cluster._zookeeper
        assert zookeeper is not None and zookeeper._connection is not None
        zookeeper._connection.handler.abort()
        await until(lambda: not zookeeper.connected, "the broken line")
        await until(lambda: zookeeper.connected, "the line being back")

    async def watches(self, count: int) -> None:
        """Wait until the client watches so many nodes: for each thing to know one."""
        zookeeper = self.cluster._zookeeper
        assert zookeeper is not None
        await until(lambda: len(zookeeper._watches._pending) == count, f"{count} watches")


async def _awaited(done: Awaitable[Any]) -> Any:
    return await done


class EmbeddedScaleTests(Scenarios):
    async def zookeeper_of_servers(self) -> str:
        return ""


class RealScaleTests(Scenarios):
    async def zookeeper_of_servers(self) -> str:
        require_real_zookeeper(self)
        return (await shared_zookeeper()).connect_string

    async def watches(self, count: int) -> None:
        await super().watches(count)

        async def as_many_there() -> bool:  # a watch is counted there a moment after it is asked for
            told = await four_letter_word(self.zookeeper, "wchs", 10.0)
            return f"Total watches:{count - 1}\n" in told  # it does not count that of the children

        await until(as_many_there, f"{count - 1} watches in ZooKeeper")


# Not tests of their own: they have no ZooKeeper.
del ScaleCase, Scenarios
