"""A hundred servers that come and go for a minute, and a client that calls them all the while."""

from __future__ import annotations

import gc
import re
from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from slacker import Client, ClusterClient, ConnectionLost
from tests.integration.many_servers import address
from tests.integration.processes import pause, python, until
from tests.integration.real_zookeeper import require_real_zookeeper, shared_zookeeper

SERVERS = 100
WARM_UP, SECONDS = 10.0, 60.0
#: Objects by which the process may have grown, after some thousand changes: one that stayed behind with each
#: would be more.
GROWTH = 1_000


class FlappingTests(TestCase):
    timeout = 300.0

    async def test_the_view_is_right_at_the_end_and_memory_is_flat(self) -> None:
        require_real_zookeeper(self)
        zookeeper = (await shared_zookeeper()).connect_string
        child = python("-m", "tests.integration.many_servers", "flapping", zookeeper)
        self.addCleanup(child.clean_up)
        await child.printed(" port ")
        found = re.search(r"port (\d+)", child.output)
        assert found is not None
        port = int(found[1])
        control = Client(f"127.0.0.1:{port}", timeout=2 * SECONDS)
        self.addCleanup(control.close)
        cluster = ClusterClient("flapping", zookeeper)
        self.addCleanup(cluster.close)
        expected = sorted(address(index, port) for index in range(SERVERS))

        async def settled() -> int:
            """Wait until the client sees what is there; how many objects this process has then."""
            await until(lambda: cluster.servers("n") == expected, "the client seeing all servers")
            self.assertEqual(cluster.status()["n"].servers, tuple(expected))
            self.assertEqual(sorted(cluster._routes.clients), expected)
            await until(lambda: all(cluster.server_data(one) for one in expected), "all data being read")
            await pause(1.0)
            gc.collect()
            return len(gc.get_objects())

        await control.call("control", "publish", [0, SERVERS])
        await self.flap(control, cluster, WARM_UP, seed=1)
        before = await settled()
        changes = await self.flap(control, cluster, SECONDS, seed=2)
        after = await settled()
        self.assertGreater(changes, 2 * GROWTH)
        self.assertLess(
            after - before, GROWTH, f"{before:,} objects before, {after:,} after {changes:,} changes"
        )

    async def flap(self, control: Client, cluster: ClusterClient, seconds: float, seed: int) -> int:
        """Let the servers come and go, and call them; the number of changes."""
        flapping: Deferred[int] = control.call("control", "flap", [SERVERS, seconds, seed])
        outcomes: Counter[str] = Counter()

        async def caller(policy: str) -> None:
            call = cluster.function("n/echo", grouping=policy)
            while not flapping.called:
                try:
                    await call("x")
                except ConnectionLost:  # it was in flight on a connection that was broken
                    outcomes["lost"] += 1
                else:
                    outcomes["answered"] += 1
                await pause(0.01)

        policies = ("random", "first", "least-in-flight", "weighted")
        calling: list[Deferred[Any]] = [Deferred.fromCoroutine(caller(policy)) for policy in policies]
        await gatherResults(calling)
        self.assertGreater(outcomes["answered"], 20 * seconds, outcomes)
        return await flapping
