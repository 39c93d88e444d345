"""The cluster client for code that waits, among servers in memory."""

from __future__ import annotations

from typing import Any

import slacker
from slacker.cluster import blocking
from slacker.content.values import Keyword
from slacker.errors import Unavailable
from tests.client.test_aio import MOST_TURNS, public_names
from tests.client.test_blocking import ThreadsTestCase
from tests.cluster.test_client import ToldDiscovery

A, B = "10.0.0.1:2104", "10.0.0.2:2104"


class ClusterClientTests(ThreadsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.discovery = ToldDiscovery()
        for address in (A, B):
            self.network.serve(address, [{"n": {"where": lambda address=address: address}}])

    def client(self, **options: Any) -> blocking.ClusterClient:
        return blocking.ClusterClient(
            "c", discovery=self.discovery, connect=self.network.client, timeout=5.0, **options
        )

    def test_calls_return_the_merged_result(self) -> None:
        self.discovery.tell("n", A, B)

        def work() -> None:
            with self.client(grouping="all", grouping_results="map") as client:
                for _ in range(MOST_TURNS):
                    if client.servers("n") == [A, B]:
                        break
                self.assertEqual(client.namespace("n").where(), {A: A, B: B})
                first = client.function("n/where", grouping="first", grouping_results="single")
                self.assertEqual(first(), A)
                with self.assertRaises(Unavailable):
                    client.call("elsewhere", "f", timeout=1.0)

        self.meanwhile(work, advance=0.01)

    def test_it_tells_what_it_knows_of_the_cluster(self) -> None:
        self.discovery.tell("n", A)
        self.discovery.tell_data(A, {Keyword("weight"): 2})

        def work() -> None:
            with self.client() as client:
                client.call("n", "where")
                self.assertEqual(client.servers("n"), [A])
                self.assertEqual(client.server_data(A), {Keyword("weight"): 2})
                self.assertEqual(client.status()["n"].connected, (A,))
                self.assertEqual(client.functions("n/"), ["n/where"])
                self.assertEqual(client.meta("n/where"), {"name": "n/where"})

        self.meanwhile(work)

    def test_it_has_the_names_of_the_client_for_deferreds(self) -> None:
        self.assertEqual(public_names(blocking.ClusterClient), public_names(slacker.ClusterClient))
