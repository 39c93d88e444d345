"""A cluster through real sockets, with the same scenarios on the embedded and on the real ZooKeeper."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import uuid4

from twisted.internet.defer import Deferred

from slacker import ClusterClient, ClusterServer, NotSent, SlackerServer, Unavailable
from slacker.content import loads
from slacker.content.values import Keyword, Symbol
from slacker.server import nonblocking
from tests.integration.processes import free_port, until
from tests.integration.real_zookeeper import RealZooKeeper, require_real_zookeeper
from tests.integration.zookeepers import OnEmbedded, OnReal, ZooKeeperCase

LOOPBACK = "tcp:0:interface=127.0.0.1"
SESSION = 2.0  # seconds; short, so that an expiry need not be waited for long


class Cluster(ZooKeeperCase):
    """What the scenarios share: servers and clients of one cluster, ended after the test."""

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        await super().setUp()
        self.name = f"c-{uuid4().hex[:8]}"

    async def serve(self, *, zk: str | None = None, **options: Any) -> ClusterServer:
        """A member of the cluster whose function ``where`` tells its address."""
        member: ClusterServer

        def where() -> str | None:
            return member.address

        server = SlackerServer([nonblocking({"n": {"where": where}}), {"m": {"echo": lambda x: x}}])
        member = ClusterServer(server, self.name, zk or self.zookeeper, zk_session_timeout=SESSION, **options)
        self.addCleanup(member.stop)
        await member.listen(LOOPBACK)
        return member

    def cluster(self, *, zk: str | None = None, **options: Any) -> ClusterClient:
        client = ClusterClient(self.name, zk or self.zookeeper, zk_session_timeout=SESSION, **options)
        self.addCleanup(client.close)
        return client

    async def sees(self, client: ClusterClient, *members: ClusterServer) -> None:
        """Wait until the client is connected to these members of ``n`` and no other."""
        for member in members:
            await member.when_published()
        expected = sorted(str(member.address) for member in members)
        await until(lambda: client.servers("n") == expected, f"the client seeing {expected}")

    async def where(self, client: ClusterClient, calls: int) -> Counter[str]:
        return Counter([await client.call("n", "where") for _ in range(calls)])


class Scenarios(Cluster):
    """What holds on each kind of ZooKeeper."""

    async def test_two_servers_join_and_a_client_calls_one_or_all(self) -> None:
        client = self.cluster()
        one, two = await self.serve(), await self.serve()
        await self.sees(client, one, two)
        self.assertEqual(set(await self.where(client, 50)), {one.address, two.address})
        every = client.function("n/where", grouping="all", grouping_results="map")
        self.assertEqual(await every(), {one.address: one.address, two.address: two.address})
        self.assertEqual(await client.call("m", "echo", [[1, Keyword("a")]]), [1, Keyword("a")])

    async def test_what_is_published_can_be_read_by_any_peer(self) -> None:
        member = await self.serve(server_data={Keyword("weight"): 3})
        await member.when_published()
        root, zookeeper = f"/slacker/cluster/{self.name}", await self.connected(direct=True)
        data, _ = await zookeeper.get(f"{root}/servers/{member.address}")
        self.assertEqual(loads("clj", data or b""), {Keyword("weight"): 3})
        leader, _ = await zookeeper.get(f"{root}/namespaces/n/_leader")
        self.assertEqual((leader or b"").decode(), member.address)
        _, stat = await zookeeper.get(f"{root}/namespaces/n/{member.address}")
        self.assertEqual(stat.ephemeralOwner, member.zookeeper.session_id)
        meta, _ = await zookeeper.get(f"{root}/functions/m/echo")
        self.assertIn(Keyword("arglists"), loads("clj", meta or b""))

    async def test_functions_and_metadata_are_answered_from_zookeeper_at_first_use_too(self) -> None:
        member = await self.serve()
        await member.when_published()
        self.proxy.cut()
        client = self.cluster(zk=self.proxy.address)
        functions = client.functions()
        self.proxy.restore()
        self.assertEqual(await functions, ["m/echo", "n/where"])
        zookeeper = await self.connected(direct=True)
        await zookeeper.create(f"/slacker/cluster/{self.name}/functions/_odd", b"")  # somebody else's
        self.assertEqual(await client.functions(), ["m/echo", "n/where"])
        self.assertEqual(await client.functions("m/"), ["m/echo"])
        self.assertEqual((await client.meta("m/echo"))[Keyword("name")], Symbol("echo"))
        self.assertEqual(await client.meta("m/none"), {})

    async def test_weights_and_changes_of_server_data_are_followed(self) -> None:
        told: list[Any] = []
        client = self.cluster(on_server_data=lambda address, data: told.append((address, data)))
        one = await self.serve(server_data={Keyword("weight"): 0})
        two = await self.serve()
        await self.sees(client, one, two)
        weighted = client.function("n/where", grouping="weighted")
        await weighted()
        await until(lambda: client.server_data(str(one.address)) is not None, "the server data")
        self.assertEqual({await weighted() for _ in range(20)}, {two.address})
        await one.set_server_data({Keyword("weight"): 1})
        await until(lambda: (one.address, {Keyword("weight"): 1}) in told, "the change being told")

    async def test_who_wants_to_hear_of_server_data_hears_without_asking(self) -> None:
        told: list[Any] = []
        client = self.cluster(on_server_data=lambda address, data: told.append((address, data)))
        one = await self.serve(server_data={Keyword("a"): 1})
        await self.sees(client, one)
        await until(lambda: (one.address, {Keyword("a"): 1}) in told, "the data being told")
        await one.set_server_data({Keyword("a"): 2})
        await until(lambda: (one.address, {Keyword("a"): 2}) in told, "the change being told")

    async def test_a_question_to_zookeeper_ends_with_the_client(self) -> None:
        client = self.cluster(zk=f"127.0.0.1:{free_port(self)}", timeout=60.0)
        waiting = client.functions()
        await client.close()
        await self.assertFailure(waiting, NotSent)

    async def test_a_call_of_the_leader_goes_to_the_one_that_leads(self) -> None:
        client = self.cluster()
        one, two = await self.serve(), await self.serve()
        await self.sees(client, one, two)
        leader = await client.call("n", "where", grouping="leader")
        self.assertEqual(
            [member.is_leader("n") for member in (one, two)], [leader == m.address for m in (one, two)]
        )
        leaving, staying = (one, two) if leader == one.address else (two, one)
        await leaving.stop()
        self.assertEqual(await client.call("n", "where", grouping="leader", timeout=30.0), staying.address)
        status = client.status()["n"]
        self.assertEqual((status.servers, status.leader), ((staying.address,), staying.address))

    async def test_a_server_that_stops_is_left_without_a_failed_call(self) -> None:
        client = self.cluster()
        one, two = await self.serve(), await self.serve()
        await self.sees(client, one, two)
        stopping = one.stop()
        while not stopping.called:
            await client.call("n", "where")
        self.assertEqual(set(await self.where(client, 20)), {two.address})
        await self.sees(client, two)

    async def test_a_server_whose_session_expired_is_published_again(self) -> None:
        member, other = await self.serve(zk=self.proxy.address), await self.serve()
        client = self.cluster()
        await self.sees(client, member, other)
        session = member.zookeeper.session_id
        self.proxy.cut()
        await self.sees(client, other)
        self.proxy.restore()
        await self.sees(client, member, other)
        self.assertNotEqual(member.zookeeper.session_id, session)

    async def test_nodes_that_somebody_deletes_come_back(self) -> None:
        member = await self.serve()
        await member.when_published()
        zookeeper = await self.connected(direct=True)
        path = f"/slacker/cluster/{self.name}/namespaces/n/{member.address}"
        await zookeeper.delete(path)
        await until(lambda: zookeeper.exists(path), "the deleted node coming back")

    async def test_while_zookeeper_is_away_a_client_goes_on_with_the_servers_it_knows(self) -> None:
        client = self.cluster(zk=self.proxy.address)
        one, two = await self.serve(), await self.serve()
        await self.sees(client, one, two)
        self.proxy.cut()
        self.assertEqual(set(await self.where(client, 50)), {one.address, two.address})
        await two.stop()
        self.assertEqual(set(await self.where(client, 20)), {one.address})
        three = await self.serve()
        self.proxy.restore()
        await self.sees(client, one, three)

    async def test_a_client_started_while_zookeeper_is_away_waits_within_the_calls_timeout(self) -> None:
        self.proxy.cut()
        member = await self.serve()
        client = self.cluster(zk=self.proxy.address)
        with self.assertRaises(Unavailable):
            await client.call("n", "where", timeout=0.5)
        call = client.call("n", "where", timeout=30.0)
        self.proxy.restore()
        self.assertEqual(await call, member.address)

    async def test_a_server_started_while_zookeeper_is_away_serves_and_is_published_later(self) -> None:
        self.proxy.cut()
        member = await self.serve(zk=self.proxy.address)
        published = member.when_published()
        self.assertNoResult(published)
        self.proxy.restore()
        await published
        client = self.cluster()
        self.assertEqual(await client.call("n", "where"), member.address)

    async def test_a_namespace_nobody_published_is_unavailable_until_somebody_does(self) -> None:
        client = self.cluster()
        with self.assertRaises(Unavailable):
            await client.call("n", "where")
        self.assertEqual(await client.call("n", "where", unavailable_value="none"), "none")
        member = await self.serve()
        await self.sees(client, member)
        self.assertEqual(await client.call("n", "where"), member.address)


class EmbeddedClusterTests(Scenarios, OnEmbedded):
    pass


class RealClusterTests(Scenarios, OnReal):
    pass


class EnsembleTests(Cluster):
    """A real ensemble of three nodes."""

    async def start_zookeeper(self) -> str:
        require_real_zookeeper(self)
        self.ensemble = RealZooKeeper(nodes=3)
        self.addCleanup(self.ensemble.stop)
        await self.ensemble.start()
        return self.ensemble.addresses[0]

    async def test_the_ensembles_leader_is_killed_and_no_call_fails(self) -> None:
        zk = self.ensemble.connect_string
        client = self.cluster(zk=zk)
        one, two = await self.serve(zk=zk), await self.serve(zk=zk)
        await self.sees(client, one, two)
        sessions = one.zookeeper.session_id, two.zookeeper.session_id
        leader = await self.ensemble.leader_index()
        killed = self.ensemble.kill(leader)
        rounds = 0
        while rounds < 5 or not (killed.called and await self.elected(leader)):
            await self.where(client, 10)
            rounds += 1
        three = await self.serve(zk=zk)
        await self.sees(client, one, two, three)
        self.assertEqual((one.zookeeper.session_id, two.zookeeper.session_id), sessions)

    async def elected(self, old: int) -> bool:
        """Whether one of the other nodes leads."""
        looks: list[Deferred[str]] = [self.ensemble.mode(index) for index in range(3) if index != old]
        return "leader" in [await look for look in looks]


# Not a test of its own: it has no ZooKeeper.
del Scenarios
