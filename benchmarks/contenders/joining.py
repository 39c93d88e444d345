"""Many servers that join a cluster, and a client that watches them come.

The servers are ports of one process, which runs ZooKeeper too and publishes all of them with one session: a
thousand sessions would measure something else.
"""

from __future__ import annotations

import gc
import time
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall, deferLater

from benchmarks.contenders.client import ON_REACTOR, listening
from benchmarks.worker import command_line, obeying
from benchmarks.workloads import NAMESPACE
from slacker import ClusterClient, SlackerServer
from slacker.cluster.layout import Layout
from slacker.zookeeper import EPHEMERAL, ZookeeperClient
from slacker.zookeeper.embedded import EmbeddedZooKeeper
from slacker.zookeeper.recipes import create_path

_CLUSTER = "benchmark"
#: Nodes that are created at the same time.
_AT_ONCE = 100
#: Seconds in which a client has to see all servers, between two looks at that, and between two ticks.
_PATIENCE = 60.0
_PAUSE = 0.02
_TICK = 0.002


class Stalls:
    """Looks at the reactor from inside: the longest turn of it, garbage collections included.

    :ivar longest: by the clock on the wall, in seconds.
    :ivar longest_cpu: by this thread's processor time: what other processes take is not in it.
    """

    def __init__(self) -> None:
        self.longest = self.longest_cpu = 0.0
        self._last = time.perf_counter()
        self._last_cpu = time.thread_time()
        self._ticking = LoopingCall(self._tick)
        self._ticking.start(_TICK, now=False)

    def stop(self) -> None:
        self._ticking.stop()

    def _tick(self) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        self.longest = max(self.longest, now - self._last - _TICK)
        self.longest_cpu = max(self.longest_cpu, cpu - self._last_cpu)
        self._last, self._last_cpu = now, cpu


class Servers:
    """ZooKeeper, and servers that join when they are told to: ``{"join": 1000}``."""

    async def start(self) -> str:
        self._zookeeper = EmbeddedZooKeeper()
        await self._zookeeper.listen("tcp:0:interface=127.0.0.1")
        self._client = ZookeeperClient(self._zookeeper.address, 30.0)
        await self._client.connect()
        self._layout = Layout("/slacker/cluster", _CLUSTER)
        for path in (self._layout.namespace(NAMESPACE), self._layout.servers):
            await create_path(self._client, path)
        self._ports: list[int] = []
        return str(self._zookeeper.address)

    async def obey(self, order: dict[str, Any]) -> dict[str, float]:
        for _ in range(order.get("listen", 0)):
            self._ports.append(await listening(SlackerServer([ON_REACTOR])))
        began = time.perf_counter()
        if "join" in order:
            for start in range(0, len(self._ports), _AT_ONCE):
                await gatherResults([self._publish(port) for port in self._ports[start : start + _AT_ONCE]])
        return {"seconds": time.perf_counter() - began}

    def _publish(self, port: int) -> Deferred[Any]:
        node = f"{self._layout.namespace(NAMESPACE)}/127.0.0.1:{port}"
        return self._client.create(node, flags=EPHEMERAL)


class Watcher:
    """A client that follows the namespace; told to, it says when it is connected to so many servers."""

    def __init__(self, where: Any) -> None:
        self._where = where
        self._client: ClusterClient

    async def start(self) -> int:
        self._client = ClusterClient(_CLUSTER, self._where)
        self._client.servers(NAMESPACE)
        return 0

    async def obey(self, order: dict[str, Any]) -> dict[str, float]:
        from twisted.internet import reactor

        if order.get("anew"):
            await self._client.close()
            gc.collect()  # what the old one leaves is not the new one's
            await self.start()
        began = time.perf_counter()
        stalls = Stalls()
        while len(self._client.servers(NAMESPACE)) < order["servers"]:
            if time.perf_counter() - began > _PATIENCE:
                raise RuntimeError(f"{order['servers']} servers were not connected within {_PATIENCE} s")
            await deferLater(reactor, _PAUSE)
        took = time.perf_counter() - began
        stalls.stop()
        return {"seconds": took, "stall": stalls.longest, "stall_cpu": stalls.longest_cpu}


if __name__ == "__main__":
    options = command_line(["joining"])
    side = Servers() if options.where is None else Watcher(options.where)
    obeying(
        lambda order: Deferred.fromCoroutine(side.obey(order)), lambda: Deferred.fromCoroutine(side.start())
    )
