"""The whole way of a call through this package, functions on the reactor or in worker threads."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from benchmarks.worker import NAMESPACE, Call, Finish, echo, main, rand_ints
from slacker import Client, SlackerServer
from slacker.server import nonblocking


class Slacker:
    """Server and client with their default options."""

    def __init__(self, *, on_reactor: bool) -> None:
        self._functions = {"echo": echo, "rand-ints": rand_ints}
        if on_reactor:
            self._functions = {name: nonblocking(function) for name, function in self._functions.items()}

    def serve(self) -> Deferred[int]:
        server = SlackerServer([{NAMESPACE: self._functions}])
        listening: Deferred[Any] = server.listen("tcp:0:interface=127.0.0.1")
        return listening.addCallback(lambda port: port.getHost().port)

    def connect(self, port: int) -> Deferred[Call]:
        make_call = Client(f"127.0.0.1:{port}").call

        def call(function: str, args: list[Any], finish: Finish, started: float) -> None:
            make_call(NAMESPACE, function, args).addCallback(finish, started)

        first: Deferred[Any] = make_call(NAMESPACE, "echo", [0])  # connects, and settles the content type
        return first.addCallback(lambda _: call)


def on_reactor() -> Slacker:
    return Slacker(on_reactor=True)


def in_workers() -> Slacker:
    return Slacker(on_reactor=False)


if __name__ == "__main__":
    main({"reactor": on_reactor, "workers": in_workers})
