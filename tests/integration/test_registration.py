"""Servers published on a live ZooKeeper, through all that may happen to it, and seen by a client."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import gatherResults

from slacker.cluster.discovery import NamespaceView
from slacker.cluster.layout import Layout
from slacker.cluster.publisher import Publisher
from slacker.cluster.zookeeper_discovery import ZookeeperDiscovery
from slacker.content.values import Keyword
from slacker.zookeeper import EPHEMERAL, State, ZookeeperClient
from slacker.zookeeper.recipes import create_path
from tests.cluster.test_layout import API, tree
from tests.cluster.test_publisher import ADDRESS, EXAMPLE, MANAGER, OTHER, without_uuids
from tests.integration.processes import pause, until
from tests.integration.zookeepers import OnEmbedded, OnReal, ZooKeeperCase


class RegistrationTests(ZooKeeperCase):
    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        await super().setUp()
        self.layout = Layout(self.root, "example-cluster")
        self.observer = await self.connected(direct=True)

    async def published(
        self, address: str, data: Any = None, *, direct: bool = False
    ) -> tuple[Publisher, ZookeeperClient]:
        from twisted.internet import reactor

        client = await self.connected(direct=direct)
        publisher = Publisher(
            client, self.layout, address, EXAMPLE, data, clock=reactor, hidden=frozenset({MANAGER})
        )
        self.addCleanup(publisher.stop)
        publisher.start()
        await publisher.when_published()
        return publisher, client

    async def followed(self, namespace: str = API) -> NamespaceView:
        from twisted.internet import reactor

        discovery = ZookeeperDiscovery(await self.connected(direct=True), self.layout, clock=reactor)
        self.addCleanup(discovery.stop)
        discovery.start()
        view = discovery.view(namespace)
        await view.when_confirmed()
        return view

    async def dump(self, path: str) -> dict[str, bytes | None]:
        """Every node below and with its data."""
        found = {path: (await self.observer.get(path))[0]}
        for child in await self.observer.get_children(path):
            found.update(await self.dump(f"{path}/{child}"))
        return found

    async def stands(self, address: str, client: ZookeeperClient) -> bool:
        """Whether the server's nodes exist and belong to its client's present session."""
        for path in (self.layout.server(address), self.layout.member(API, address)):
            stat = await self.observer.exists(path)
            if stat is None or stat.ephemeralOwner != client.session_id:
                return False
        return True

    async def test_two_servers_leave_the_tree_that_upstreams_leave(self) -> None:
        weight = {Keyword("weight"): 3, Keyword("label"): Keyword("example")}
        await self.published(ADDRESS, weight)
        await self.published(OTHER)
        prefix = Layout("/slacker/cluster", "example-cluster").root
        real = {
            path.replace(prefix, self.layout.root): data
            for path, data in tree().items()
            if path.startswith(prefix)
        }
        self.assertEqual(without_uuids(await self.dump(self.layout.root)), without_uuids(real))

    async def test_a_client_sees_them_come_and_go(self) -> None:
        view = await self.followed()
        self.assertEqual((view.servers, view.confirmed), ((), True))
        first, _ = await self.published(ADDRESS)
        second, _ = await self.published(OTHER)
        await until(lambda: view.servers == (ADDRESS, OTHER), "both servers")
        await until(lambda: view.leader == ADDRESS, "the leader")
        await first.stop()
        await until(lambda: view.servers == (OTHER,), "the first one's leaving")
        await until(lambda: view.leader == OTHER, "the other one taking over")
        await second.stop()
        await until(lambda: view.servers == (), "the last one's leaving")
        self.assertIn("timestamp", await self.observer.get_children(self.layout.functions(API)))

    async def test_a_broken_line_changes_nothing(self) -> None:
        view = await self.followed()
        publisher, client = await self.published(ADDRESS)
        await until(lambda: view.servers == (ADDRESS,), "the server")
        before = await self.observer.exists(self.layout.server(ADDRESS))
        self.proxy.cut()
        await until(lambda: not client.connected, "the broken line")
        self.proxy.restore()
        await until(lambda: client.connected and publisher.published, "the line being back")
        self.assertEqual(await self.observer.exists(self.layout.server(ADDRESS)), before)
        self.assertEqual(view.servers, (ADDRESS,))

    async def test_an_expired_session_is_published_again(self) -> None:
        view = await self.followed()
        _, client = await self.published(ADDRESS)
        session = client.session_id
        await self.expire(client)
        await until(lambda: client.connected and client.session_id != session, "a new session")
        await until(lambda: self.stands(ADDRESS, client), "everything being published again")
        await until(lambda: view.servers == (ADDRESS,), "the client seeing it")

    async def test_a_long_cut_expires_the_session_and_everything_comes_back(self) -> None:
        from twisted.internet import reactor

        client = await self.connected(1.0)
        publisher = Publisher(client, self.layout, ADDRESS, EXAMPLE, clock=reactor)
        self.addCleanup(publisher.stop)
        publisher.start()
        await publisher.when_published()
        self.proxy.cut()

        async def gone() -> bool:
            return await self.observer.exists(self.layout.server(ADDRESS)) is None

        await until(gone, "the session's end on the server")
        self.assertNotEqual(client.state, State.EXPIRED)
        self.proxy.restore()
        await until(lambda: self.stands(ADDRESS, client), "everything being published again")
        await publisher.when_published()

    async def test_foreign_deletion_even_of_the_whole_cluster_is_put_right(self) -> None:
        _, client = await self.published(ADDRESS)
        for path in (self.layout.server(ADDRESS), self.layout.member(API, ADDRESS)):
            await self.observer.delete(path)
            await until(lambda: self.stands(ADDRESS, client), f"{path} being put right")
        await self.remove_all(self.observer, self.layout.root)
        await until(lambda: self.stands(ADDRESS, client), "the cluster being put right")

        async def complete() -> bool:
            return "timestamp" in await self.observer.get_children(self.layout.functions(API))

        await until(complete, "the functions being put right")

    async def test_nodes_of_an_old_session_are_replaced_and_survive_its_end(self) -> None:
        old = await self.connected(direct=True)
        await create_path(old, self.layout.namespace(API))
        await create_path(old, self.layout.servers)
        await old.create(self.layout.member(API, ADDRESS), b"", flags=EPHEMERAL)
        await old.create(self.layout.server(ADDRESS), b"nil", flags=EPHEMERAL)
        publisher, client = await self.published(ADDRESS)
        await old.close()
        await pause(0.2)
        self.assertTrue(await self.stands(ADDRESS, client))
        self.assertTrue(publisher.published)

    async def test_five_hundred_servers_join_and_are_all_seen(self) -> None:
        view = await self.followed()
        await self.published(ADDRESS, direct=True)
        await until(lambda: view.servers == (ADDRESS,), "the first one")
        crowd = await self.connected(direct=True)
        addresses = [f"10.0.{number // 250}.{number % 250}:2104" for number in range(500)]
        members = [self.layout.member(API, address) for address in addresses]

        await gatherResults([crowd.create(path, b"", flags=EPHEMERAL) for path in members])
        await until(lambda: len(view.servers) == 501, "all of them")
        self.assertEqual(set(view.servers), {ADDRESS, *addresses})
        await crowd.close()
        await until(lambda: view.servers == (ADDRESS,), "their end")


class EmbeddedRegistrationTests(RegistrationTests, OnEmbedded):
    pass


class RealRegistrationTests(RegistrationTests, OnReal):
    pass


# Trial would run the bodies by themselves as well.
del RegistrationTests, ZooKeeperCase, OnEmbedded, OnReal
