"""Many servers of a cluster in one process: ``python -m tests.integration.many_servers CLUSTER [ZOOKEEPER]``.

One port on all addresses of the loopback network is many servers to a client: 127.0.0.1, 127.0.0.2 and so on.
They are published with one session of a plain ZooKeeper client, in the namespace ``n``, and as many others,
which nobody listens to, in ``m``. Whoever started this orders them about with a slacker client at 127.0.0.1,
by the functions of :class:`Control`. Without a ZooKeeper it brings its own.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater, react

from slacker import SlackerServer
from slacker.cluster.layout import Layout
from slacker.content import dumps
from slacker.content.values import Keyword
from slacker.server import nonblocking
from slacker.zookeeper import EPHEMERAL, ZookeeperClient
from slacker.zookeeper.embedded import EmbeddedZooKeeper
from slacker.zookeeper.recipes import create_path

ELSEWHERE = 10_000  # from the index of a server of ``n`` to that of one of ``m``
_AT_ONCE = 100


def address(index: int, port: int) -> str:
    """Of the server of this index; there are 62,500."""
    return f"127.0.{index // 250}.{index % 250 + 1}:{port}"


class Control:
    """What the servers can be told to do, as functions of the namespace ``control``."""

    def __init__(self, reactor: Any, client: ZookeeperClient, layout: Layout) -> None:
        self._reactor = reactor
        self._client = client
        self._layout = layout
        self.port = 0
        self.server: SlackerServer | None = None

    async def publish(self, first: int, last: int) -> None:
        """Let the servers from ``first`` up to ``last`` join."""
        await in_batches(self._publish, range(first, last))

    async def withdraw(self, first: int, last: int) -> None:
        """Let them leave; they go on answering."""
        await in_batches(self._withdraw, range(first, last))

    async def weigh(self, first: int, last: int, weight: int) -> None:
        """Let them say that this is their weight."""

        async def weigh(index: int) -> None:
            await self._client.set(self._layout.server(address(index, self.port)), _data(weight))

        await in_batches(weigh, range(first, last))

    async def flap(self, count: int, seconds: float, seed: int) -> int:
        """Let the first so many servers, which have joined, leave and join at random, and break connections.

        :return: how often that happened. At the end all of them have joined.
        """
        chance = random.Random(seed)
        absent: set[int] = set()
        changes = 0
        deadline = self._reactor.seconds() + seconds
        while self._reactor.seconds() < deadline:
            index = chance.randrange(count)
            if index in absent:
                await self._publish(index)
            elif chance.random() < 0.7:
                await self._withdraw(index)
            else:
                self._break_connection(address(index, self.port))
                changes += 1
                continue
            absent ^= {index}
            changes += 1
            await deferLater(self._reactor, 0.005)
        await in_batches(self._publish, sorted(absent))
        return changes

    async def _publish(self, index: int) -> None:
        own = address(index, self.port)
        await self._client.create(self._layout.server(own), _data(1), flags=EPHEMERAL)
        for namespace, there in (("n", own), ("m", address(index + ELSEWHERE, self.port))):
            await self._client.create(f"{self._layout.namespace(namespace)}/{there}", flags=EPHEMERAL)

    async def _withdraw(self, index: int) -> None:
        own = address(index, self.port)
        for namespace, there in (("n", own), ("m", address(index + ELSEWHERE, self.port))):
            await self._client.delete(f"{self._layout.namespace(namespace)}/{there}")
        await self._client.delete(self._layout.server(own))

    def _break_connection(self, own: str) -> None:
        assert self.server is not None
        for connection in list(self.server.connections):
            host = connection.transport.getHost().host
            if f"{host}:{self.port}" == own and host != "127.0.0.1":  # where the orders come from
                connection.transport.abortConnection()


async def in_batches(work: Callable[[int], Any], indices: Iterable[int]) -> None:
    """A hundred at a time."""
    todo = list(indices)
    for start in range(0, len(todo), _AT_ONCE):
        await gatherResults([Deferred.fromCoroutine(work(index)) for index in todo[start : start + _AT_ONCE]])


def _data(weight: int) -> bytes:
    return dumps("clj", {Keyword("weight"): weight})


async def main(reactor: Any, cluster: str, zookeeper: str = "") -> None:
    if not zookeeper:
        embedded = EmbeddedZooKeeper()
        await embedded.listen("tcp:0:interface=127.0.0.1")
        zookeeper = embedded.address
    client = ZookeeperClient(zookeeper, 30.0)
    await client.connect()
    layout = Layout("/slacker/cluster", cluster)
    for path in (layout.namespace("n"), layout.namespace("m"), layout.servers):
        await create_path(client, path)
    control = Control(reactor, client, layout)

    def echo(value: Any) -> Any:
        return value

    orders = {name: getattr(control, name) for name in ("publish", "withdraw", "weigh", "flap")}
    control.server = server = SlackerServer([nonblocking({"control": orders, "n": {"echo": echo}})])
    listening: IListeningPort = await server.listen("tcp:0")
    host = listening.getHost()
    assert isinstance(host, IPv4Address)
    control.port = host.port
    print(f"zookeeper {zookeeper} port {control.port}", flush=True)
    await Deferred()


if __name__ == "__main__":
    react(main, sys.argv[1:])
