"""Twisted's Perspective Broker: methods of a remote root, all on one connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.spread import pb

from benchmarks.worker import Call, Contender, Finish, failed, main
from benchmarks.workloads import echo, rand_ints


class Root(pb.Root):
    """What it answers."""

    def remote_echo(self, value: Any) -> Any:
        return echo(value)

    def remote_rand_ints(self, count: int) -> list[int]:
        return rand_ints(count)


class PerspectiveBroker:
    """See the module's docstring."""

    def serve(self) -> Deferred[Any]:
        from twisted.internet import reactor

        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        listening: Deferred[Any] = endpoint.listen(pb.PBServerFactory(Root()))
        return listening.addCallback(lambda port: port.getHost().port)

    def connect(self, where: Any) -> Deferred[Call]:
        from twisted.internet import reactor

        factory = pb.PBClientFactory()
        connecting: Deferred[Any] = TCP4ClientEndpoint(reactor, "127.0.0.1", where).connect(factory)
        return connecting.addCallback(lambda _: factory.getRootObject()).addCallback(_calling)


def _calling(root: Any) -> Call:
    methods = {"echo": "echo", "rand-ints": "rand_ints"}

    def call(function: str, args: list[Any], finish: Finish, started: float) -> None:
        root.callRemote(methods[function], *args).addCallbacks(finish, failed, callbackArgs=(started,))

    return call


CONTENDERS: dict[str, Callable[[], Contender]] = {"pb": PerspectiveBroker}

if __name__ == "__main__":
    main(CONTENDERS)
