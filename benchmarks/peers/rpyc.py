"""rpyc: a ThreadedServer, and its asynchronous calls on one connection."""

from __future__ import annotations

import threading
from time import perf_counter
from typing import Any

import rpyc
from rpyc.utils.server import ThreadedServer

from benchmarks import plain
from benchmarks.workloads import Tally, Workload, echo, rand_ints


class _Service(rpyc.Service):  # type: ignore[misc]  # it has no types
    def exposed_echo(self, value: Any) -> Any:
        return echo(value)

    def exposed_rand_ints(self, count: int) -> tuple[int, ...]:
        return tuple(rand_ints(count))  # a list would go as a reference, and cost a call for each look at it


def serve() -> int:
    server = ThreadedServer(_Service, hostname="127.0.0.1", port=0)
    threading.Thread(target=server.start, daemon=True).start()
    return int(server.port)


def connect(where: Any) -> plain.Load:
    connection = rpyc.connect("127.0.0.1", where)
    functions = {
        "echo": rpyc.async_(connection.root.echo),
        "rand-ints": rpyc.async_(connection.root.rand_ints),
    }

    def load(what: Workload, depth: int, seconds: float) -> dict[str, float]:
        function = functions[what.function]
        plain.check(what, function(*what.args).value)
        tally = Tally(seconds)
        in_flight = depth

        def begin(started: float) -> None:
            function(*what.args).add_callback(lambda result: ended(result, started))

        def ended(result: Any, started: float) -> None:
            nonlocal in_flight
            _ = result.value  # or its error
            if now := tally.ended(started):
                begin(now)
            else:
                in_flight -= 1

        for _ in range(depth):
            begin(perf_counter())
        while in_flight:
            connection.serve(1.0)
        return tally.result()

    return load


if __name__ == "__main__":
    plain.main(serve, connect)
