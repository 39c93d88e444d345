"""The blocking API: a thread for each call in flight, all with one client; the reactor has its own thread."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import plain, worker
from benchmarks.contenders.client import Slacker
from benchmarks.workloads import NAMESPACE
from slacker.client.blocking import Client


def connect(where: Any) -> plain.Load:
    client = Client(f"127.0.0.1:{where}")

    def call(function: str, args: list[Any]) -> Any:
        return client.call(NAMESPACE, function, args)

    @contextmanager
    def shared() -> Iterator[plain.Call]:
        yield call

    call("echo", [0])
    return plain.in_threads(shared)


def no_server() -> None:
    """It is the same as for the other API: see the last line."""


if __name__ == "__main__":
    if len(sys.argv) > 2:
        plain.main(no_server, connect)
    else:
        worker.main({"blocking": Slacker})
