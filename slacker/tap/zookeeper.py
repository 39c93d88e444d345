"""``twistd slacker-zookeeper``: the embedded ZooKeeper in a process of its own."""

from __future__ import annotations

from twisted.application.service import Service

from slacker.tap.starting import OneLineOptions, StartedService, listening
from slacker.zookeeper.embedded import EmbeddedZooKeeper


class Options(OneLineOptions):
    command = "slacker-zookeeper"
    longdesc = "Runs a small ZooKeeper in memory, for development and tests: one node, nothing kept on disk."
    optParameters = [["listen", None, "tcp:2181:interface=127.0.0.1", "Where to listen, a Twisted endpoint."]]


class ZooKeeperProcess(StartedService):
    """One embedded ZooKeeper, listening."""

    command = "slacker-zookeeper"

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._zookeeper = EmbeddedZooKeeper()

    async def begin(self) -> None:
        await listening(self._zookeeper.listen, self._endpoint)

    async def end(self) -> None:
        await self._zookeeper.stop()


def makeService(options: Options) -> Service:
    """What twistd runs."""
    return ZooKeeperProcess(options["listen"])
