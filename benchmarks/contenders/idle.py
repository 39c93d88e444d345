"""Connections on which nothing happens, and calls that are never answered: what they take of memory."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from benchmarks.contenders.client import listening
from benchmarks.worker import command_line, obeying, open_files
from benchmarks.workloads import NAMESPACE
from slacker import Client, SlackerServer
from slacker.server import Limits, nonblocking

#: Sockets and files that a process has beside its connections.
_OTHER_FILES = 100
#: Connections that are opened at the same time (more than a listening port keeps waiting would take a second
#: longer), and seconds in which those have to be open.
_AT_ONCE = 40
_PATIENCE = 10.0
#: Seconds in which what was begun comes to rest.
_REST = 0.5
#: Seconds; longer than a run.
_LONG = 3600.0


def memory() -> int:
    """Bytes that this process holds now."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Slacker:
    """Ours."""

    def serve(self) -> Deferred[Any]:
        functions = nonblocking({NAMESPACE: {"echo": lambda value: value, "never": Deferred}})
        return listening(SlackerServer([functions], limits=Limits(max_connections=1_000_000)))

    def connect(self, where: Any) -> Deferred[Any]:
        self.client = Client(f"127.0.0.1:{where}", timeout=_LONG)
        return self.client.call(NAMESPACE, "echo", [0]).addCallback(lambda _: self.client)

    def call(self, client: Any) -> None:
        """Begin a call that is not answered."""
        client.call(NAMESPACE, "never").addErrback(lambda _: None)  # the end of the run


class Bare:
    """A Protocol of Twisted that does nothing."""

    def serve(self) -> Deferred[Any]:
        from twisted.internet import reactor

        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port: Deferred[Any] = endpoint.listen(Factory.forProtocol(Protocol))
        return port.addCallback(lambda port: port.getHost().port)

    def connect(self, where: Any) -> Deferred[Any]:
        from twisted.internet import reactor

        return TCP4ClientEndpoint(reactor, "127.0.0.1", where).connect(Factory.forProtocol(Protocol))

    def call(self, client: Any) -> None:
        """It has none."""


class Side:
    """One process: its memory, and on a client's what it holds."""

    def __init__(self, contender: Slacker | Bare, where: Any) -> None:
        self._contender = contender
        self._where = where
        self._clients: list[Any] = []
        self._most = open_files() - _OTHER_FILES

    def start(self) -> Deferred[Any]:
        if self._where is None:
            return self._contender.serve()
        return self._open(1).addCallback(lambda _: self._most)

    def obey(self, order: dict[str, Any]) -> Deferred[Any]:
        """Orders: ``connections`` to open, ``calls`` to begin on each; the answer is the memory then."""
        return Deferred.fromCoroutine(self._obey(order))

    async def _obey(self, order: dict[str, Any]) -> dict[str, int]:
        from twisted.internet import reactor

        await self._open(order.get("connections", 0))
        for client in self._clients:
            for _ in range(order.get("calls", 0)):
                self._contender.call(client)
        await deferLater(reactor, _REST)
        return {"memory": memory(), "most": self._most}

    def _open(self, count: int) -> Deferred[None]:
        return Deferred.fromCoroutine(self._opened(count))

    async def _opened(self, count: int) -> None:
        from twisted.internet import reactor

        for start in range(0, count, _AT_ONCE):
            opening = [self._contender.connect(self._where) for _ in range(min(_AT_ONCE, count - start))]
            self._clients += await gatherResults(opening).addTimeout(_PATIENCE, reactor)


if __name__ == "__main__":
    contenders: dict[str, type[Slacker | Bare]] = {"slacker": Slacker, "bare": Bare}
    options = command_line(contenders)
    side = Side(contenders[options.contender](), options.where)
    obeying(side.obey, side.start)
