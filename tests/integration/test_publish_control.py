"""Members that are managed, lead, lose ZooKeeper and are restarted, as their clients see it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from slacker import Client, ClusterClient, ClusterServer, RemoteError, SlackerServer, Unavailable
from slacker.content.values import Keyword
from slacker.server import nonblocking
from slacker.zookeeper import NoNodeException
from tests.integration.processes import deferred, pause, until
from tests.integration.test_cluster import LOOPBACK, SESSION, Cluster
from tests.integration.zookeepers import OnEmbedded, OnReal

MANAGER = "slacker.cluster.manager"


class Load:
    """Calls that follow one another, several at a time, until :meth:`end`."""

    def __init__(self, client: ClusterClient, function: str, **options: Any) -> None:
        self.calls = 0
        self.failures: list[Exception] = []
        self._call = client.function(function, **options)
        self._ending = False
        self._loops = [self._loop() for _ in range(20)]

    @deferred
    async def _loop(self) -> None:
        while not self._ending:
            try:
                await self._call()
            except Exception as error:
                self.failures.append(error)
            self.calls += 1
            await pause(0.001)

    async def end(self) -> None:
        self._ending = True
        await gatherResults(self._loops)


class ControlScenarios(Cluster):
    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        await super().setUp()
        self.observer = await self.connected(direct=True)

    async def found(self, name: str, member: ClusterServer) -> bool:
        """Whether ZooKeeper holds the member's node in this namespace."""
        path = f"/slacker/cluster/{self.name}/namespaces/{name}/{member.address}"
        return await self.observer.exists(path) is not None

    async def test_a_namespace_is_taken_offline_and_put_online(self) -> None:
        one, two = await self.serve(), await self.serve()
        client = self.cluster()
        await self.sees(client, one, two)
        await one.unpublish("n")
        await self.sees(client, two)
        self.assertFalse(await self.found("n", one))
        self.assertTrue(await self.found("m", one))
        self.assertEqual(set(await self.where(client, 20)), {two.address})
        await one.publish("n")
        await self.sees(client, one, two)
        await two.unpublish()
        await self.sees(client, one)
        self.assertFalse(await self.found("m", two))
        await two.publish()
        await self.sees(client, one, two)

    async def test_what_is_offline_stays_so_whatever_happens(self) -> None:
        member, other = await self.serve(zk=self.proxy.address), await self.serve()
        await other.when_published()
        await member.unpublish("n")
        self.proxy.cut()
        await until(lambda: not member.zookeeper.connected, "the broken line")
        self.proxy.restore()
        await self.stays_offline(member)
        session = member.zookeeper.session_id
        await self.expire(member.zookeeper)
        await until(lambda: member.zookeeper.session_id not in (None, session), "a new session")
        await self.stays_offline(member)
        await self.remove_all(self.observer, f"/slacker/cluster/{self.name}")
        await self.stays_offline(member)
        await member.publish("n")
        self.assertTrue(await self.found("n", member))

    async def stays_offline(self, member: ClusterServer) -> None:
        """Wait until everything stands as wanted, and look."""

        async def as_wanted() -> bool:
            return await self.found("m", member) and not await self.found("n", member)

        await member.when_published()
        await until(lambda: Deferred.fromCoroutine(as_wanted()), "m online and n offline")

    async def test_server_data_of_a_running_server_are_told_to_its_clients(self) -> None:
        told: list[tuple[str, Any]] = []
        member = await self.serve(zk=self.proxy.address, server_data={Keyword("weight"): 1})
        client = self.cluster(on_server_data=lambda address, data: told.append((address, data)))
        await self.sees(client, member)
        address = str(member.address)
        client.server_data(address)
        await until(lambda: client.server_data(address) == {Keyword("weight"): 1}, "the first data")
        await member.set_server_data({Keyword("weight"): 7})
        await until(lambda: client.server_data(address) == {Keyword("weight"): 7}, "the new data")
        self.assertEqual(told[-1], (address, {Keyword("weight"): 7}))
        session = member.zookeeper.session_id
        await self.expire(member.zookeeper)
        await until(lambda: member.zookeeper.session_id not in (None, session), "a new session")
        await member.when_published()
        await until(lambda: client.server_data(address) == {Keyword("weight"): 7}, "the data again")

    async def test_a_member_is_managed_by_calls_from_its_machine(self) -> None:
        member = await self.serve(manager=True, server_data=1)
        client = self.cluster()
        await self.sees(client, member)
        direct = Client(str(member.address))
        self.addCleanup(direct.close)
        manager = direct.namespace(MANAGER)
        self.assertIsNone(await manager.offline())
        await self.sees(client)
        self.assertIsNone(await manager.online_ns("n"))
        await self.sees(client, member)
        self.assertIsNone(await manager["set-server-data!"]({Keyword("weight"): 2}))
        self.assertEqual(await manager.server_data(), {Keyword("weight"): 2})
        with self.assertRaises(RemoteError) as caught:
            await manager.online_ns("no.such")
        self.assertIn("no namespace 'no.such'", str(caught.exception))
        with self.assertRaises(Unavailable):
            await client.call(MANAGER, "server-data", timeout=1.0)
        self.assertIn(f"{MANAGER}/set-server-data!", await client.functions(MANAGER))
        self.assertIsNone(await manager.shutdown())
        await until(lambda: not member.zookeeper.connected, "the member's end")
        await self.sees(client)

    async def test_calls_for_the_leader_follow_it(self) -> None:
        told: list[tuple[str, bool]] = []
        both: list[str] = []  # namespaces in which the second one began to lead while the first one did
        one = await self.serve(
            zk=self.proxy.address, on_leadership=lambda name, leads: told.append((name, leads))
        )
        await one.when_published()

        def second(name: str, leads: bool) -> None:
            if leads and one.is_leader(name):
                both.append(name)

        two = await self.serve(on_leadership=second)
        client = self.cluster(grouping="leader")
        await self.sees(client, one, two)
        self.assertEqual((one.is_leader("n"), two.is_leader("n")), (True, False))
        self.assertEqual(set(await self.where(client, 20)), {one.address})

        self.proxy.stall()
        await until(lambda: not one.is_leader("n"), "the end of a leadership that nobody can confirm")
        await until(lambda: two.is_leader("n"), "the next leading")
        self.assertEqual(both, [])
        await until(lambda: client.status()["n"].leader == two.address, "the client hearing of it")
        self.assertEqual(set(await self.where(client, 20)), {two.address})
        self.assertEqual(sorted(told, key=str), [("m", False), ("m", True), ("n", False), ("n", True)])
        self.proxy.restore()
        await self.sees(client, one, two)

        self.assertEqual(await client.call("n", "where"), two.address)
        await two.unpublish("n")
        # Until the client has heard of it, the second one may be asked, and answers.
        await until(lambda: client.status()["n"].leader != two.address, "the client hearing that it left")
        self.assertEqual(await client.call("n", "where", timeout=20.0), one.address)

    async def test_who_leads_is_written_again_over_any_other_name(self) -> None:
        member = await self.serve()
        await member.when_published()
        path = f"/slacker/cluster/{self.name}/namespaces/n/_leader"

        async def named() -> bool:
            return bool((await self.observer.get(path))[0] == str(member.address).encode())

        for wrong in (b"10.0.0.9:2104", b"", b"\xff"):
            await self.observer.set(path, wrong)
            await until(lambda: Deferred.fromCoroutine(named()), "the leader's name")

    async def test_a_cluster_that_somebody_deletes_comes_back_whole(self) -> None:
        one, two = await self.serve(server_data=5), await self.serve()
        client = self.cluster()
        await self.sees(client, one, two)
        root = f"/slacker/cluster/{self.name}"
        before = await self.tree(root)
        await self.remove_all(self.observer, root)

        async def whole() -> bool:
            return await self.tree(root) == before

        await until(lambda: Deferred.fromCoroutine(whole()), "everything being there again")
        await self.sees(client, one, two)
        leading = [member for member in (one, two) if member.is_leader("n")]
        self.assertEqual(len(leading), 1)
        self.assertEqual(await client.call("n", "where", grouping="leader"), leading[0].address)

    async def tree(self, path: str) -> list[str]:
        """Every path from here on, the elections' nodes without what is random in their names."""
        found = [path.partition("/_c_")[0]]
        try:
            for child in await self.observer.get_children(path):
                found += await self.tree(f"{path}/{child}")
        except NoNodeException:
            return found
        return sorted(found)

    async def test_in_a_rolling_restart_no_call_fails(self) -> None:
        members = [await self.serve() for _ in range(3)]
        client = self.cluster()
        await self.sees(client, *members)
        loads = [
            Load(client, "n/where"),
            Load(client, "m/echo-slowly"),
            Load(client, "n/where", grouping="first"),
        ]
        for index in range(3):
            await pause(0.2)
            await members[index].stop()
            members[index] = await self.serve()
            await self.sees(client, *members)
        await pause(0.2)
        for load in loads:
            await load.end()
            self.assertEqual(load.failures, [])
            self.assertGreater(load.calls, 100)
        self.assertEqual(set(await self.where(client, 50)), {member.address for member in members})

    async def test_a_stop_waits_neither_for_a_zookeeper_that_is_away_nor_for_one_that_stalls(self) -> None:
        from twisted.internet import reactor

        for disturb in (self.proxy.cut, self.proxy.stall):
            member = await self.serve(zk=self.proxy.address)
            await member.when_published()
            disturb()
            began = reactor.seconds()
            await member.stop()
            self.assertLess(reactor.seconds() - began, 12.0)
            self.proxy.restore()

    async def serve(self, *, zk: str | None = None, **options: Any) -> ClusterServer:
        """A member with ``n/where``, which tells its address, and ``m/echo-slowly``, in a worker thread."""
        import time

        def echo_slowly(value: Any = None) -> Any:
            time.sleep(0.02)
            return value

        member: ClusterServer
        server = SlackerServer(
            [nonblocking({"n": {"where": lambda: member.address}}), {"m": {"echo-slowly": echo_slowly}}]
        )
        member = ClusterServer(server, self.name, zk or self.zookeeper, zk_session_timeout=SESSION, **options)
        self.addCleanup(member.stop)
        await member.listen(LOOPBACK)
        return member


class EmbeddedControlTests(ControlScenarios, OnEmbedded):
    pass


class RealControlTests(ControlScenarios, OnReal):
    pass


# Trial would run the bodies by themselves as well.
del ControlScenarios, Cluster, OnEmbedded, OnReal
