"""msgpack-rpc-python: its asynchronous calls on one connection. It knows no bytes apart from text."""

from __future__ import annotations

import threading
from collections import deque
from time import perf_counter
from typing import Any

import msgpackrpc
from msgpackrpc.transport import tcp
from tornado.netutil import bind_sockets

from benchmarks import plain
from benchmarks.workloads import Tally, Workload, echo, rand_ints


class _Functions:
    def echo(self, value: Any) -> Any:
        return echo(value)

    def rand_ints(self, count: int) -> list[int]:
        return rand_ints(count)


class _Loopback(tcp.ServerTransport):  # type: ignore[misc]  # it has no types
    """Listens on this machine only, which its own one cannot."""

    def listen(self, server: Any) -> None:
        self._server = server
        self._mp_server = tcp.MessagePackServer(self, server._loop._ioloop, self._encodings)
        sockets = bind_sockets(0, "127.0.0.1")
        self._mp_server.add_sockets(sockets)
        self.port = int(sockets[0].getsockname()[1])


def serve() -> int:
    server = msgpackrpc.Server(_Functions())
    transport = _Loopback(None, (None, None))
    transport.listen(server)
    threading.Thread(target=server.start, daemon=True).start()
    return transport.port


def connect(where: Any) -> plain.Load:
    client = msgpackrpc.Client(msgpackrpc.Address("127.0.0.1", where), timeout=30, pack_encoding="utf-8")
    methods = {"echo": "echo", "rand-ints": "rand_ints"}

    def load(what: Workload, depth: int, seconds: float) -> dict[str, float]:
        method, args = methods[what.function], what.args
        value = client.call(method, *args)
        plain.check(what, value.decode() if isinstance(args[0], str) else value)
        tally = Tally(seconds)
        waiting = deque((client.call_async(method, *args), perf_counter()) for _ in range(depth))
        while waiting:
            future, started = waiting.popleft()
            future.get()
            if now := tally.ended(started):
                waiting.append((client.call_async(method, *args), now))
        return tally.result()

    return load


if __name__ == "__main__":
    plain.main(serve, connect)
