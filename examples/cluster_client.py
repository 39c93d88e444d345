"""A client of the cluster: ``python -m examples.cluster_client [ZOOKEEPER]``."""

from __future__ import annotations

import sys

from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import react

from slacker import ClusterClient


async def main(reactor: IReactorCore, zk: str = "127.0.0.1:2181") -> None:
    cluster = ClusterClient("example-cluster", zk)
    api = cluster.namespace("slacker.example.api")
    on_all = cluster.function("slacker.example.api/timestamp", grouping="all", grouping_results="map")
    spare = cluster.function("no.such.namespace/f", unavailable_value="nobody")
    try:
        print("one server:    ", await api.timestamp())
        print("every server:  ", await on_all())
        print("as a list:     ", await on_all.with_options(grouping_results="vector")())
        print("without server:", await spare.with_options(timeout=2.0)())
    finally:
        await cluster.close()


if __name__ == "__main__":
    react(main, sys.argv[1:])
