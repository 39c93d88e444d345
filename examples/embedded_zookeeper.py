"""ZooKeeper in a Python process, for development and tests: ``python -m examples.embedded_zookeeper``.

``twistd -n slacker-zookeeper`` is the same as a command; ``--zk embedded`` puts one into a server.
"""

from __future__ import annotations

import sys

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import react

from slacker.zookeeper.embedded import EmbeddedZooKeeper


async def main(reactor: IReactorCore, endpoint: str = "tcp:2181:interface=127.0.0.1") -> None:
    zookeeper = EmbeddedZooKeeper()
    reactor.addSystemEventTrigger("before", "shutdown", zookeeper.stop)
    await zookeeper.listen(endpoint)
    print("ZooKeeper at", zookeeper.address, flush=True)
    await Deferred()  # for ever


if __name__ == "__main__":
    react(main, sys.argv[1:])
