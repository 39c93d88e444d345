"""What kazoo's test harness calls a cluster: three ports of one embedded server, its reactor in a thread.

To stop a member closes its port and cuts the connections; sessions and nodes stay, as in a cluster that lost
a member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import blockingCallFromThread

from slacker.zookeeper.embedded import EmbeddedZooKeeper

_reactor: Any = installed_reactor


class Member:
    """One port."""

    def __init__(self, zookeeper: EmbeddedZooKeeper) -> None:
        self._zookeeper = zookeeper
        self._number = 0
        self._port: IListeningPort | None = None

    @property
    def running(self) -> bool:
        """Whether clients can come."""
        return self._port is not None

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self._number}"

    def run(self) -> None:
        """Take clients, always on the same port."""
        if self._port is None:
            endpoint = f"tcp:{self._number}:interface=127.0.0.1"
            self._port = _on_reactor(lambda: self._zookeeper.listen(endpoint))
            host: Any = self._port.getHost()
            self._number = host.port

    def stop(self) -> None:
        """Take no more clients, and cut those that are there."""
        port, self._port = self._port, None
        if port is not None:
            _on_reactor(port.stopListening)
            _on_reactor(self._zookeeper.drop_connections)


class ZookeeperCluster:
    """In place of ``kazoo.testing.common.ZookeeperCluster``."""

    def __init__(self, **_: object) -> None:
        Thread(target=_reactor.run, kwargs={"installSignalHandlers": False}, daemon=True).start()
        zookeeper = EmbeddedZooKeeper()
        self._members = [Member(zookeeper) for _ in range(3)]

    def __getitem__(self, index: int) -> Member:
        return self._members[index]

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members)

    def start(self) -> None:
        """All members take clients."""
        for member in self._members:
            member.run()

    def terminate(self) -> None:
        """No member takes clients."""
        for member in self._members:
            member.stop()


def _on_reactor(call: Callable[[], Any]) -> Any:
    """The result of a call in the reactor's thread."""
    result: Deferred[Any] = blockingCallFromThread(_reactor, call)
    return result
