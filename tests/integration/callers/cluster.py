"""The cluster clients for asyncio and for threads; neither is closed when its program ends."""

from __future__ import annotations

import asyncio
import sys

from slacker.cluster import aio, blocking

zookeeper = sys.argv[1]


async def main() -> str:
    client = aio.ClusterClient("callers", zookeeper)
    assert await client.namespace("math").add_up(1, 2) == 3
    assert await client.functions("math/add") == ["math/add-up"]
    return client.servers("math")[0]


server = asyncio.run(main())
with blocking.ClusterClient("callers", zookeeper) as closed:
    assert closed.call("math", "add-up", [1, 2]) == 3
every = blocking.ClusterClient("callers", zookeeper, grouping="all", grouping_results="map")
assert every.namespace("math").add_up(1, 2) == {server: 3}
assert every.servers("math") == [server]
print("done")
