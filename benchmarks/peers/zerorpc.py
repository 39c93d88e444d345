"""zerorpc: a greenlet for each call in flight, all with one client."""

from __future__ import annotations

import sys
from typing import Any

import gevent
import zerorpc

from benchmarks import plain
from benchmarks.workloads import Tally, Workload, echo, rand_ints


class _Functions:
    def echo(self, value: Any) -> Any:
        return echo(value)

    def rand_ints(self, count: int) -> list[int]:
        return rand_ints(count)


def serve() -> str:
    server = zerorpc.Server(_Functions(), heartbeat=None)
    server.bind("tcp://127.0.0.1:*")
    gevent.spawn(server.run)
    endpoint: bytes = server._events._socket.getsockopt(zerorpc.zmq.LAST_ENDPOINT)
    return endpoint.rstrip(b"\0").decode()


def connect(where: Any) -> plain.Load:
    client = zerorpc.Client(where, heartbeat=None, timeout=30)
    methods = {"echo": "echo", "rand-ints": "rand_ints"}

    def call(function: str, args: list[Any]) -> Any:
        return client(methods[function], *args)

    def load(what: Workload, depth: int, seconds: float) -> dict[str, float]:
        plain.check(what, call(what.function, what.args))
        tally = Tally(seconds)
        gevent.joinall(
            [gevent.spawn(plain.keep_calling, what, call, tally) for _ in range(depth)], raise_error=True
        )
        return tally.result()

    return load


def _readline() -> str:
    line: str = gevent.get_hub().threadpool.apply(sys.stdin.readline)
    return line


if __name__ == "__main__":
    plain.main(serve, connect, _readline)
