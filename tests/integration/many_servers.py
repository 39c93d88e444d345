"""Many servers of a cluster in one process: ``python -m tests.integration.many_servers CLUSTER [ZOOKEEPER]``.

One port on all addresses of the loopback network is many servers to a client: 127.0.0.1, 127.0.0.2 and so on.
They are published with one session of a plain ZooKeeper client, in the namespaces ``n`` and ``m``. Whoever
started this orders them about with a slacker client at 127.0.0.1: ``control/publish``, ``control/withdraw``
and ``control/weigh``.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import react

from slacker import SlackerServer
from slacker.cluster.layout import Layout
from slacker.content import dumps
from slacker.content.values import Keyword
from slacker.server import nonblocking
from slacker.zookeeper import EPHEMERAL, ZookeeperClient
from slacker.zookeeper.embedded import EmbeddedZooKeeper
from slacker.zookeeper.recipes import create_path

NAMESPACES = ("n", "m")


def address(index: int, port: int) -> str:
    """Of the server of this index; there are 62,500."""
    return f"127.0.{index // 250}.{index % 250 + 1}:{port}"


async def in_batches(work: Callable[[int], Awaitable[Any]], indices: Sequence[int]) -> None:
    """A hundred at a time."""
    for start in range(0, len(indices), 100):
        batch: list[Deferred[Any]] = [
            Deferred.fromCoroutine(_await(work(index))) for index in indices[start : start + 100]
        ]
        await gatherResults(batch)


async def _await(work: Awaitable[Any]) -> Any:
    return await work


async def main(reactor: Any, cluster: str, zookeeper: str = "") -> None:
    if not zookeeper:
        embedded = EmbeddedZooKeeper()
        await embedded.listen("tcp:0:interface=127.0.0.1")
        zookeeper = embedded.address
    client = ZookeeperClient(zookeeper, 30.0)
    await client.connect()
    layout = Layout("/slacker/cluster", cluster)
    for namespace in NAMESPACES:
        await create_path(client, layout.namespace(namespace))
    await create_path(client, layout.servers)
    port = 0

    async def publish(first: int, last: int) -> None:
        async def one(index: int) -> None:
            server = address(index, port)
            await client.create(layout.server(server), _data(1), flags=EPHEMERAL)
            for namespace in NAMESPACES:
                await client.create(f"{layout.namespace(namespace)}/{server}", flags=EPHEMERAL)

        await in_batches(one, range(first, last))

    async def withdraw(first: int, last: int) -> None:
        async def one(index: int) -> None:
            server = address(index, port)
            for namespace in NAMESPACES:
                await client.delete(f"{layout.namespace(namespace)}/{server}")
            await client.delete(layout.server(server))

        await in_batches(one, range(first, last))

    async def weigh(first: int, last: int, weight: int) -> None:
        await in_batches(
            lambda index: client.set(layout.server(address(index, port)), _data(weight)), range(first, last)
        )

    def echo(value: Any) -> Any:
        return value

    control = {"publish": publish, "withdraw": withdraw, "weigh": weigh}
    server = SlackerServer([nonblocking({"control": control, "n": {"echo": echo}, "m": {"echo": echo}})])
    listening: IListeningPort = await server.listen("tcp:0")
    port = listening.getHost().port
    print(f"zookeeper {zookeeper} port {port}", flush=True)
    await Deferred()


def _data(weight: int) -> bytes:
    return dumps("clj", {Keyword("weight"): weight})


if __name__ == "__main__":
    react(main, sys.argv[1:])
