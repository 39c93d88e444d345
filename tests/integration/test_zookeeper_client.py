"""The client on a live ZooKeeper: sessions, watches and requests through lines that break and freeze."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet.defer import DeferredList, gatherResults
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol

from slacker.zookeeper import (
    EPHEMERAL,
    SEQUENCE,
    Acl,
    ClosingException,
    ConnectionTimeoutException,
    EventType,
    NoAuthException,
    NodeExistsException,
    NoNodeException,
    NotConnectedException,
    State,
    ZookeeperClient,
)
from slacker.zookeeper.recipes import ChildrenWatch, DataWatch, OwnedEphemeral, create_path
from tests.integration.processes import pause, until
from tests.integration.zookeepers import OnEmbedded, OnReal, ZooKeeperCase


def kazoo_threads() -> list[str]:
    """The threads that clients have left running."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("zookeeper")]


class ClientTests(ZooKeeperCase):
    async def test_a_session_is_opened_and_known(self) -> None:
        client = await self.connected(5.0)
        self.assertEqual(client.session_timeout, 5.0)
        self.assertEqual((client.local_host, client.peer_host), ("127.0.0.1", "127.0.0.1"))
        age = client.seconds_since_contact
        assert age is not None
        self.assertTrue(0 <= age < 5, age)
        await client.create(self.root, flags=EPHEMERAL)
        stat = await client.exists(self.root)
        assert stat is not None
        self.assertEqual(stat.ephemeralOwner, client.session_id)

    async def test_null_and_empty_data_are_two_things(self) -> None:
        client = await self.connected()
        await client.create(self.root)
        for name, data in (("null", None), ("empty", b""), ("full", b"data")):
            await client.create(f"{self.root}/{name}", data)
            self.assertEqual((await client.get(f"{self.root}/{name}"))[0], data)

    async def test_what_zookeeper_refuses_becomes_our_error(self) -> None:
        client = await self.connected()
        await client.create(self.root)
        with self.assertRaises(NodeExistsException):
            await client.create(self.root)
        with self.assertRaises(NoNodeException):
            await client.get(self.root + "/x")

    async def test_watches_fire_once_with_what_happened(self) -> None:
        client, other = await self.connected(), await self.connected()
        exists, created = client.exists_and_watch(self.root)
        self.assertIsNone(await exists)
        await other.create(self.root)
        self.assertEqual((await created)[::2], (EventType.CREATED, self.root))
        children, grown = client.get_children_and_watch(self.root)
        data, written = client.get_and_watch(self.root)
        self.assertEqual((await children, (await data)[0]), ([], b""))
        path = await other.create(self.root + "/n-", b"", flags=SEQUENCE)
        await other.set(self.root, b"new")
        self.assertEqual((await grown).type, EventType.CHILD)
        self.assertEqual((await written).type, EventType.CHANGED)
        await other.delete(path)
        await other.delete(self.root)

    async def test_thousands_of_requests_at_once_are_all_answered(self) -> None:
        client = await self.connected()
        await client.create(self.root)
        requests = [client.create(f"{self.root}/{number}") for number in range(2_000)]
        self.assertEqual(len(await gatherResults(requests)), 2_000)
        self.assertEqual(len(await client.get_children(self.root)), 2_000)

    async def test_an_identity_survives_a_reconnect(self) -> None:
        client = await self.connected()
        await client.add_auth("digest", "mary:apples")
        mine: Acl = {"perms": 31, "scheme": "auth", "id": ""}
        await client.create(self.root, b"secret", [mine])
        other = await self.connected()
        with self.assertRaises(NoAuthException):
            await other.get(self.root)
        await self.broken_line(client)
        self.assertEqual((await client.get(self.root))[0], b"secret")

    async def broken_line(self, client: ZookeeperClient) -> None:
        self.proxy.cut()
        await until(lambda: not client.connected, "the broken line")
        self.proxy.restore()
        await until(lambda: client.connected, "the line being back")

    async def test_a_chroot_is_invisible(self) -> None:
        plain = await self.connected()
        await plain.create(self.root)
        chrooted = ZookeeperClient(self.zookeeper + self.root)
        self.addCleanup(chrooted.close)
        await chrooted.connect()
        self.assertEqual(await chrooted.create("/a"), "/a")
        self.assertEqual(await chrooted.get_children("/"), ["a"])
        self.assertTrue(await plain.exists(f"{self.root}/a"))

    async def test_a_chroot_that_does_not_exist_is_made_where_its_parent_does(self) -> None:
        chrooted = ZookeeperClient(self.zookeeper + self.root)
        self.addCleanup(chrooted.close)
        await chrooted.connect()
        await create_path(chrooted, "/a/b")
        self.assertEqual(await chrooted.get_children("/a"), ["b"])

    async def test_a_broken_line_keeps_session_and_ephemerals(self) -> None:
        client = await self.connected()
        states: list[State] = []
        client.add_listener(states.append)
        session = client.session_id
        await client.create(self.root, flags=EPHEMERAL)
        _, watch = client.exists_and_watch(self.root)
        await client.sync()
        self.proxy.cut()
        self.assertEqual((await watch).type, EventType.SESSION)
        with self.assertRaises(NotConnectedException):
            await client.get(self.root)
        self.proxy.restore()
        await until(lambda: client.connected, "reconnecting")
        self.assertEqual(states, [State.CONNECTING, State.CONNECTED])
        self.assertEqual(client.session_id, session)
        self.assertTrue(await client.exists(self.root))

    async def test_an_expired_session_is_replaced_and_its_ephemerals_are_gone(self) -> None:
        client = await self.connected()
        states: list[State] = []
        client.add_listener(states.append)
        session = client.session_id
        await client.create(self.root, flags=EPHEMERAL)
        await self.expire(client)
        await until(lambda: State.EXPIRED in states and client.connected, "a new session")
        self.assertEqual(states[-2:], [State.EXPIRED, State.CONNECTED])
        self.assertNotEqual(client.session_id, session)
        self.assertIsNone(await client.exists(self.root))

    async def test_a_client_that_starts_before_zookeeper_finds_it_later(self) -> None:
        self.proxy.cut()
        client = self.client()
        with self.assertRaises(ConnectionTimeoutException):
            await client.connect(timeout=0.2)
        self.proxy.restore()
        await until(lambda: client.connected, "connecting")
        self.assertIsNone(await client.exists(self.root))

    async def test_closing_on_a_frozen_line_takes_a_few_seconds_at_most(self) -> None:
        from twisted.internet import reactor

        client = await self.connected(40.0)  # so that a line is given up after 27 s only
        self.proxy.stall()
        pending = client.exists(self.root)
        began = reactor.seconds()
        closing = client.close()
        with self.assertRaises(ClosingException):
            await pending
        await closing
        self.assertLess(reactor.seconds() - began, 15.0)
        self.proxy.restore()

    async def test_closing_while_connecting_leaves_no_thread(self) -> None:
        await until(lambda: not kazoo_threads(), "earlier clients' threads ending")
        self.proxy.cut()
        client = self.client()
        connecting = client.connect()
        await pause(0.1)
        await client.close()
        with self.assertRaises(ClosingException):
            await connecting
        await until(lambda: not kazoo_threads(), "the threads ending")

    async def test_closing_fires_everything_and_leaves_no_thread(self) -> None:
        await until(lambda: not kazoo_threads(), "earlier clients' threads ending")
        client = await self.connected()
        _, watch = client.exists_and_watch(self.root)
        await client.sync()
        requests = [client.exists(self.root) for _ in range(500)]
        closing = client.close()
        results: list[tuple[bool, Any]] = await DeferredList(requests, consumeErrors=True)
        self.assertTrue(all(not good and reason.check(ClosingException) for good, reason in results))
        self.assertEqual((await watch).connection_state, State.CLOSED)
        await closing
        await until(lambda: not kazoo_threads(), "the threads ending")


class EmbeddedClientTests(ClientTests, OnEmbedded):
    pass


class RealClientTests(ClientTests, OnReal):
    pass


class RecipeTests(ZooKeeperCase):
    async def test_watched_children_miss_nothing_over_a_broken_line_and_an_expired_session(self) -> None:
        from twisted.internet import reactor

        client, other = await self.connected(), await self.connected(direct=True)
        seen: list[list[str] | None] = []
        watch = ChildrenWatch(
            client, self.root, lambda a: seen.append(None if a is None else sorted(a[0])), clock=reactor
        )
        watch.start()
        self.addCleanup(watch.stop)
        await until(lambda: seen == [None], "the first answer")
        await other.create(self.root)
        await other.create(self.root + "/a")
        await until(lambda: seen[-1] == ["a"], "the first child")
        self.proxy.cut()
        await until(lambda: not client.connected, "the broken line")
        await other.create(self.root + "/b")
        self.proxy.restore()
        await until(lambda: seen[-1] == ["a", "b"], "what happened meanwhile")
        await self.expire(client)
        await other.delete(self.root + "/a")
        await until(lambda: seen[-1] == ["b"], "what happened around the new session")
        await other.delete(self.root + "/b")
        await other.delete(self.root)
        await until(lambda: seen[-1] is None, "the node's end")

    async def test_watched_data_follow_every_last_value(self) -> None:
        from twisted.internet import reactor

        client, other = await self.connected(), await self.connected()
        seen: list[bytes | str | None] = []
        watch = DataWatch(
            client, self.root, lambda a: seen.append("absent" if a is None else a[0]), clock=reactor
        )
        watch.start()
        self.addCleanup(watch.stop)
        await other.create(self.root, None)
        await until(lambda: seen and seen[-1] is None, "the node")
        before, began = len(seen), reactor.seconds()
        for number in range(200):
            await other.set(self.root, str(number).encode())
        await until(lambda: seen[-1] == b"199", "the last value")
        # However long the writes take: twenty reads a second, the first of them at once.
        self.assertLessEqual(len(seen) - before, 20 * (reactor.seconds() - began) + 2)

    async def test_an_old_sessions_node_is_replaced_before_it_vanishes(self) -> None:
        old, client = await self.connected(direct=True), await self.connected()
        await create_path(client, self.root)
        path = self.root + "/me"
        await old.create(path, b"old", flags=EPHEMERAL)
        disturbances: list[int] = []
        node = OwnedEphemeral(client, path, b"new", lambda: disturbances.append(1))
        await node.ensure()
        await old.close()
        data, stat = await client.get(path)
        self.assertEqual((data, stat.ephemeralOwner, disturbances), (b"new", client.session_id, []))
        await (await self.connected()).delete(path)
        await until(lambda: disturbances, "the deletion being noticed")
        await node.ensure()
        await node.remove()
        self.assertIsNone(await client.exists(path))


class EmbeddedRecipeTests(RecipeTests, OnEmbedded):
    pass


class RealRecipeTests(RecipeTests, OnReal):
    pass


class Nonsense(Protocol):
    """Something that is no ZooKeeper: it answers the connect request with whatever it is told."""

    answer = b""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(self.answer)
        self.transport.loseConnection()


class NonsenseTests(OnEmbedded):
    async def test_a_port_where_something_else_answers_is_survived(self) -> None:
        from twisted.internet import reactor

        for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 64, b"\0" * 64, b""):
            port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(
                Factory.forProtocol(type("Answering", (Nonsense,), {"answer": answer}))
            )
            client = ZookeeperClient(f"127.0.0.1:{port.getHost().port}", 2.0)
            with self.assertRaises(ConnectionTimeoutException):
                await client.connect(timeout=0.3)
            await client.close()
            await port.stopListening()


# Trial would run the bodies by themselves as well.
del ClientTests, RecipeTests, ZooKeeperCase, OnEmbedded, OnReal
