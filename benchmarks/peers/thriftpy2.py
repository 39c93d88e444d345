"""thriftpy2: its threaded server, and a thread with a client of its own for each call in flight."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import StringIO
from socket import socket
from typing import Any

import thriftpy2
from thriftpy2.rpc import make_client, make_server

from benchmarks import plain
from benchmarks.workloads import echo, rand_ints

_EXAMPLE = thriftpy2.load_fp(
    StringIO(
        """service Example {
            string echo_text(1: string value),
            binary echo_bytes(1: binary value),
            list<i32> rand_ints(1: i32 count)
        }"""
    ),
    "example_thrift",
)
_PATIENCE = 30_000  # milliseconds


class _Functions:
    def echo_text(self, value: str) -> Any:
        return echo(value)

    def echo_bytes(self, value: bytes) -> Any:
        return echo(value)

    def rand_ints(self, count: int) -> list[int]:
        return rand_ints(count)


def serve() -> int:
    with socket() as probe:  # it cannot tell which port it was given
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = make_server(_EXAMPLE.Example, _Functions(), "127.0.0.1", port, client_timeout=None)
    server.daemon = True
    server.trans.backlog = 1000
    listening = threading.Event()
    listen = server.trans.listen

    def listen_and_tell() -> None:
        listen()
        listening.set()

    server.trans.listen = listen_and_tell
    threading.Thread(target=server.serve, daemon=True).start()
    listening.wait(10)
    return port


def connect(where: Any) -> plain.Load:
    @contextmanager
    def own() -> Iterator[plain.Call]:
        with closing(make_client(_EXAMPLE.Example, "127.0.0.1", where, timeout=_PATIENCE)) as client:
            methods = {str: client.echo_text, bytes: client.echo_bytes, int: client.rand_ints}
            yield lambda function, args: methods[type(args[0])](*args)

    return plain.in_threads(own)


if __name__ == "__main__":
    plain.main(serve, connect)
