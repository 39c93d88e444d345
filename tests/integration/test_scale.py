"""A thousand servers: what they cost a client, while they join, stay, change and leave."""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from twisted.internet.interfaces import IDelayedCall
from twisted.trial.unittest import TestCase

from slacker import Client, ClusterClient
from slacker.content.values import Keyword
from tests.integration.many_servers import address
from tests.integration.processes import pause, python, until
from tests.integration.real_zookeeper import four_letter_word, require_real_zookeeper, shared_zookeeper

SERVERS = 1_000
#: Seconds that our code may keep the reactor from everything else.
LONGEST_STALL = 0.05
#: Connections that may be opened in a second, and in the first moment.
OPENED_PER_SECOND, OPENED_AT_ONCE = 500, 10
_TICK = 0.002


class Reactor:
    """Looks at the reactor from inside: the processor time that passes from one look to the next.

    That of the garbage collector does not count: its time is that of the whole process's heap.

    :ivar longest: the longest such time, in seconds.
    """

    def __init__(self, look: Callable[[], object]) -> None:
        self.longest = 0.0
        self._look = look
        self._collecting = 0.0  # seconds, all in all
        self._began = 0.0
        self._last = self._own_time()
        gc.callbacks.append(self._collected)
        self._tick()

    def stop(self) -> None:
        gc.callbacks.remove(self._collected)
        self._timer.cancel()

    def _own_time(self) -> float:
        return time.thread_time() - self._collecting

    def _collected(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            self._collecting += time.thread_time() - self._began

    def _tick(self) -> None:
        from twisted.internet import reactor

        now = self._own_time()
        self.longest = max(self.longest, now - self._last)
        self._look()
        self._last = self._own_time()
        self._timer: IDelayedCall = reactor.callLater(_TICK, self._tick)


class ScaleCase(TestCase):
    timeout = 240.0

    async def zookeeper_of_servers(self) -> str:
        """Where the servers find ZooKeeper; empty if they bring their own."""
        raise NotImplementedError

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        self.name = f"c-{uuid4().hex[:8]}"
        zookeeper = await self.zookeeper_of_servers()
        child = python("-m", "tests.integration.many_servers", self.name, *([zookeeper] if zookeeper else []))
        self.addCleanup(child.clean_up)
        await child.printed(" port ")
        found = re.search(r"zookeeper (\S+) port (\d+)", child.output)
        assert found is not None
        self.zookeeper, self.port = found[1], int(found[2])
        self.control = Client(f"127.0.0.1:{self.port}", timeout=120.0)
        self.addCleanup(self.control.close)
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
    async def test_a_thousand_servers_never_hold_the_reactor_up(self) -> None:
        opened: list[float] = []  # when each connection was begun

        def look() -> None:
            opened.extend([time.monotonic()] * (len(self.clients) - len(opened)))

        reactor = Reactor(look)
        self.addCleanup(reactor.stop)

        async def step(what: str, done: Awaitable[object] | None = None) -> None:
            if done is not None:
                await done
            await pause(2 * _TICK)
            longest, reactor.longest = reactor.longest, 0.0
            self.assertLess(longest, LONGEST_STALL, f"a stall of {longest * 1000:.0f} ms: {what}")

        await self.order("publish", 0, SERVERS)
        await step("they join", self.sees(SERVERS))
        self.assertEqual(len(opened), SERVERS)
        for index, when in enumerate(opened):
            most = OPENED_AT_ONCE * 2 + OPENED_PER_SECOND * (when - opened[0])
            self.assertLessEqual(index, most, "connections opened too quickly")
        await self.watches(2)

        for grouping in ("random", "first", "least-in-flight", "all", "weighted"):
            every = self.cluster.function("n/echo", grouping=grouping, grouping_results="nil")
            for _ in range(3):
                await every("x")
            await step(f"first calls with grouping {grouping}")
        await until(lambda: self.weights() == {1: SERVERS}, "the weights being known")
        await step("the servers' data are read")
        await self.watches(2 + SERVERS)

        calling = self.cluster.function("n/echo", grouping="weighted")
        await step("their data change", self.while_calling(calling, self.order("weigh", 0, SERVERS, 2)))
        await until(lambda: self.weights() == {2: SERVERS}, "the new weights being known")
        await step("their data are read again")

        await self.while_calling(calling, self.order("withdraw", SERVERS // 2, SERVERS))
        await step("half of them leave", self.sees(SERVERS // 2))
        await self.while_calling(calling, self.order("publish", SERVERS // 2, SERVERS))
        await step("they come back", self.sees(SERVERS))
        await until(lambda: sum(self.weights().values()) == SERVERS, "all weights being known")

        await self.break_line_to_zookeeper()
        await step("the line to ZooKeeper breaks")
        await until(lambda: self.unread() == 0, "all being watched again")
        await step("all is read again")
        await self.watches(2 + SERVERS)
        other = self.new_client()
        await until(lambda: len(other.servers("n")) == SERVERS, "another client connecting", 60.0)
        await step("another client finds them all at once")
        await step("a client is closed", self.cluster.close())

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
