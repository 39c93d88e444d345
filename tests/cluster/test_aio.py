"""The cluster client for asyncio, among servers in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import slacker
from slacker.cluster import aio
from slacker.content.values import Keyword
from slacker.errors import Unavailable
from tests.client.test_aio import MOST_TURNS, AsyncioTestCase, public_names
from tests.cluster.test_client import ToldDiscovery

A, B = "10.0.0.1:2104", "10.0.0.2:2104"


class ClusterClientTests(AsyncioTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(aio, "running_reactor", lambda: self.network.reactor)
        self.discovery = ToldDiscovery()
        for address in (A, B):
            self.network.serve(address, [{"n": {"where": lambda address=address: address}}])

    def client(self, **options: Any) -> aio.ClusterClient:
        return aio.ClusterClient(
            "c", discovery=self.discovery, connect=self.network.client, timeout=5.0, **options
        )

    def test_calls_are_futures_with_the_merged_result(self) -> None:
        async def main() -> None:
            async with self.client(grouping="all", grouping_results="map") as client:
                self.discovery.tell("n", A, B)
                for _ in range(MOST_TURNS):
                    if client.servers("n") == [A, B]:
                        break
                    await asyncio.sleep(0)
                self.assertEqual(await client.namespace("n").where(), {A: A, B: B})
                first = client.function("n/where", grouping="first", grouping_results="single")
                self.assertEqual(await first(), A)
                with self.assertRaises(Unavailable):
                    await client.call("elsewhere", "f")

        self.run_in_loop(main(), advance=0.1)

    def test_it_tells_what_it_knows_of_the_cluster(self) -> None:
        async def main() -> None:
            async with self.client() as client:
                self.discovery.tell("n", A)
                self.discovery.tell_data(A, {Keyword("weight"): 2})
                await client.call("n", "where")
                self.assertEqual(client.servers("n"), [A])
                self.assertEqual(client.server_data(A), {Keyword("weight"): 2})
                self.assertEqual(client.status()["n"].connected, (A,))
                self.assertEqual(await client.functions("n/"), ["n/where"])
                self.assertEqual(await client.meta("n/where"), {"name": "n/where"})

        self.run_in_loop(main())

    def test_it_has_the_names_of_the_client_for_deferreds(self) -> None:
        self.assertEqual(public_names(aio.ClusterClient), public_names(slacker.ClusterClient))
