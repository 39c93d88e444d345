"""Calls the standard library's ``statistics`` module on another process: nothing was written to expose it.

Server: ``twistd -n --pidfile= slacker --expose statistics --listen tcp:2104:interface=127.0.0.1``.
Client: ``python -m examples.statistics_client [HOST:PORT]``.
"""

from __future__ import annotations

import sys

from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import react

from slacker import Client


async def main(reactor: IReactorCore, address: str = "127.0.0.1:2104") -> None:
    client = Client(address)
    statistics = client.namespace("statistics")
    try:
        print("mean    ", await statistics.mean([1, 2, 3, 4]))
        print("median  ", await statistics.median([1, 2, 9]))
        print("quartile", await statistics.quantiles([1, 2, 3, 4, 5]))
        print("doc     ", str(await client.meta("statistics/mean"))[:60], "…")
    finally:
        await client.close()


if __name__ == "__main__":
    react(main, sys.argv[1:])
