"""Pyro5 with msgpack: a thread with a proxy of its own for each call in flight."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import Pyro5.api

from benchmarks import plain
from benchmarks.workloads import echo, rand_ints

Pyro5.config.SERIALIZER = "msgpack"
Pyro5.config.THREADPOOL_SIZE = 600  # its default, 80, would refuse the 500 connections


@Pyro5.api.expose
class Functions:
    def echo(self, value: Any) -> Any:
        return echo(value)

    def rand_ints(self, count: int) -> list[int]:
        return rand_ints(count)


def serve() -> str:
    daemon = Pyro5.api.Daemon(host="127.0.0.1", port=0)
    uri = daemon.register(Functions())
    threading.Thread(target=daemon.requestLoop, daemon=True).start()
    return str(uri)


def connect(where: Any) -> plain.Load:
    @contextmanager
    def own() -> Iterator[plain.Call]:
        with Pyro5.api.Proxy(where) as proxy:
            methods = {"echo": proxy.echo, "rand-ints": proxy.rand_ints}
            yield lambda function, args: methods[function](*args)

    return plain.in_threads(own)


if __name__ == "__main__":
    plain.main(serve, connect)
