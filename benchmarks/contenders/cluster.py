"""Calls through a cluster client, to one or all of many servers, which are ports of one process.

The process is one, so that a call on a cluster and one on a single server have the same two processes to
share the machine with. Servers are told by a list; what ZooKeeper does beside calls costs a call nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from benchmarks.contenders.client import ON_REACTOR, calling, listening
from benchmarks.worker import Call, Contender, Finish, failed, main
from benchmarks.workloads import NAMESPACE
from slacker import Client, ClusterClient, SlackerServer
from slacker.cluster.discovery import NamespaceView, StaticDiscovery
from slacker.cluster.grouping import ONE_SERVER
from slacker.content.values import Keyword

#: Seconds in which all servers have to be connected.
_PATIENCE = 15.0
_PAUSE = 0.02
#: How many servers there are.
COUNTS = [3, 30, 100, 300, 1000]


class ToldDiscovery(StaticDiscovery):
    """A list of servers, the first of which leads, and whose weights are 1, 2, 3, 1, 2, 3 …"""

    def __init__(self, servers: list[str]) -> None:
        super().__init__(servers)
        self._weights = {address: index % 3 + 1 for index, address in enumerate(servers)}

    def view(self, namespace: str) -> NamespaceView:
        view = super().view(namespace)
        view.leader = view.servers[0]
        return view

    def server_data(self, address: str) -> Any:
        return {Keyword("weight"): self._weights[address]}


class Servers:
    """So many servers in one process.

    :param count: how many.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def serve(self) -> Deferred[Any]:
        servers = [SlackerServer([ON_REACTOR]) for _ in range(self.count)]
        return gatherResults([listening(server) for server in servers])


class Cluster(Servers):
    """A cluster client with this grouping."""

    def __init__(self, count: int, grouping: str) -> None:
        super().__init__(count)
        self._grouping = grouping

    def connect(self, where: Any) -> Deferred[Call]:
        return Deferred.fromCoroutine(self._connect([f"127.0.0.1:{port}" for port in where]))

    async def _connect(self, servers: list[str]) -> Call:
        everybody = self._grouping == "all"
        client = ClusterClient(
            "benchmark",
            discovery=ToldDiscovery(servers),
            grouping=self._grouping,
            grouping_results="vector" if everybody else "single",
        )
        await all_connected(client, len(servers))
        return first_of(client.call) if everybody else await calling(client.call)


async def all_connected(client: ClusterClient, count: int) -> None:
    """Wait until a client is connected to so many servers."""
    from twisted.internet import reactor

    for _ in range(int(_PATIENCE / _PAUSE)):
        if len(client.servers(NAMESPACE)) == count:
            return
        await deferLater(reactor, _PAUSE)
    raise RuntimeError(f"{count} servers were not connected within {_PATIENCE} s")


def first_of(make_call: Callable[..., Deferred[Any]]) -> Call:
    """What makes calls that are answered with a list, of which all are the same."""

    def call(function: str, args: list[Any], finish: Finish, started: float) -> None:
        make_call(NAMESPACE, function, args).addCallbacks(first, failed, callbackArgs=(finish, started))

    def first(answers: list[Any], finish: Finish, started: float) -> None:
        finish(answers[0], started)

    return call


class Direct(Servers):
    """A client for each of the servers, in turn: what several connections cost without a cluster."""

    def connect(self, where: Any) -> Deferred[Call]:
        clients = [calling(Client(f"127.0.0.1:{port}").call) for port in where]
        return gatherResults(clients).addCallback(in_turn)


def in_turn(calls: list[Call]) -> Call:
    """What makes calls by each of these, one after the other."""
    following = cycle(calls)

    def call(function: str, args: list[Any], finish: Finish, started: float) -> None:
        next(following)(function, args, finish, started)

    return call


CONTENDERS: dict[str, Callable[[], Contender]] = {
    f"{grouping}-{count}": partial(Cluster, count, grouping)
    for grouping in [*ONE_SERVER, "all"]
    for count in COUNTS
} | {f"direct-{count}": partial(Direct, count) for count in COUNTS}

if __name__ == "__main__":
    main(CONTENDERS)
