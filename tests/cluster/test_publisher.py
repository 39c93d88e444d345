"""One server's desired state, against everything that may happen to it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from kazoo import exceptions
from kazoo.protocol.states import KeeperState
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from slacker.cluster.layout import Layout
from slacker.cluster.publisher import Publisher
from slacker.content.values import Keyword, List, Symbol
from slacker.errors import ConfigurationError, ZookeeperError
from slacker.zookeeper import ZookeeperClient
from tests.cluster.test_layout import API, tree
from tests.zookeeper.fakes import FakeKazoo, install
from tests.zookeeper.test_election import negotiate

API2 = "slacker.example.api2"
MANAGER = "slacker.cluster.manager"
ADDRESS = "127.0.0.1:2401"
OTHER = "127.0.0.1:2402"
MANAGER_FUNCTIONS = (
    "offline",
    "offline-ns",
    "online",
    "online-ns",
    "server-data",
    "set-server-data!",
    "shutdown",
)


def described(name: str, *arglist: str, doc: str = "") -> dict[Keyword, Any]:
    """A function's metadata with one list of arguments."""
    metadata: dict[Keyword, Any] = {Keyword("name"): Symbol(name)}
    if doc:
        metadata[Keyword("doc")] = doc
    metadata[Keyword("arglists")] = List([[Symbol(argument) for argument in arglist]])
    return metadata


EXAMPLE: dict[str, dict[str, dict[Keyword, Any]]] = {
    API: {
        "echo": described("echo", "x"),
        "get-m": described("get-m"),
        "inc-m": described("inc-m", "amount"),
        "long-running": described("long-running"),
        "make-error": described("make-error", doc="test runtime exception"),
        "rand-ints": described("rand-ints", "n", doc="test collection result"),
        "random-exception": described("random-exception", "poss"),
        "timestamp": described("timestamp"),
    },
    API2: {"echo2": {}},
    MANAGER: {name: {} for name in MANAGER_FUNCTIONS},
}


def without_uuids(tree: dict[str, bytes | None]) -> Counter[tuple[str, bytes | None]]:
    """A tree whose elections' nodes are only counted: nobody can foretell their names."""
    return Counter((path.partition("/_c_")[0], None if "/_c_" in path else tree[path]) for path in tree)


class PublisherCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = install(self)
        negotiate(self)
        self.layout = Layout("/slacker/cluster", "example-cluster")
        self.publishers: list[tuple[Publisher, ZookeeperClient]] = []
        self.told: list[tuple[str, bool]] = []  # of leadership

    def tearDown(self) -> None:
        for publisher, client in self.publishers:
            publisher.stop()
            self.world.pump()
            client.close()
        self.world.pump()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def publish(
        self,
        address: str = ADDRESS,
        data: Any = None,
        connect: bool = True,
        namespaces: Any = None,
        **options: Any,
    ) -> tuple[Publisher, FakeKazoo]:
        """A publisher that has had its time."""
        client = self.world.client(connect)
        if namespaces is None:
            namespaces = EXAMPLE
        publisher = Publisher(
            client,
            self.layout,
            address,
            namespaces,
            data,
            clock=self.world.clock,
            hidden={MANAGER},
            on_leadership=lambda namespace, leads: self.told.append((f"{address} {namespace}", leads)),
            **options,
        )
        self.publishers.append((publisher, client))
        publisher.start()
        self.world.advance(0.1)
        return publisher, self.world.clients[-1] if connect else None  # type: ignore[return-value]

    def data(self, path: str) -> bytes | None:
        return self.world.nodes[path].data

    def leader(self) -> bytes | None:
        return self.data(self.layout.leader(API))

    def found(self, address: str = ADDRESS) -> list[str]:
        """The namespaces in which clients find the server."""
        return [name for name in (API, API2) if self.layout.member(name, address) in self.world.nodes]

    def candidates(self, namespace: str = API) -> list[str]:
        """The nodes of the namespace's election."""
        return [path for path in self.world.nodes if path.startswith(f"{self.layout.mutex(namespace)}/")]

    def assertStands(self, address: str = ADDRESS) -> None:
        """Everything of this server is there, and of its present session."""
        session = next(client.session_id for p, client in self.publishers if p.address == address)
        self.assertIsNotNone(session)
        for path in (
            self.layout.server(address),
            self.layout.member(API, address),
            self.layout.member(API2, address),
        ):
            self.assertEqual(self.world.nodes[path].owner, session, path)
        self.assertIn(self.layout.mutex(API), self.world.nodes)
        self.assertTrue(self.data(self.layout.leader(API)))


class PublishTests(PublisherCase):
    def test_two_servers_leave_the_tree_that_upstreams_leave(self) -> None:
        weight = {Keyword("weight"): 3, Keyword("label"): Keyword("example")}
        self.publish(ADDRESS, weight)
        self.publish(OTHER)
        self.assertEqual(
            without_uuids({path: node.data for path, node in self.world.nodes.items() if path != "/"}),
            without_uuids(tree()),
        )

    def test_the_leader_has_data_before_the_first_server_shows(self) -> None:
        self.publish()
        created = [path for what, path in self.world.requests if what == "create"]
        for namespace in (API, API2):
            self.assertLess(
                created.index(self.layout.leader(namespace)), created.index(self.layout.server(ADDRESS))
            )
            self.assertLess(
                created.index(self.layout.server(ADDRESS)),
                created.index(self.layout.member(namespace, ADDRESS)),
            )

    def test_function_nodes_that_exist_are_left_alone(self) -> None:
        path = self.layout.function(API, "echo")
        self.world.put(path, b"theirs")
        self.publish()
        self.assertEqual(self.data(path), b"theirs")
        self.assertIn(self.layout.function(API, "timestamp"), self.world.nodes)

    def test_a_function_node_that_another_server_creates_first_is_as_good(self) -> None:
        client = self.world.client(connect=False)
        publisher = Publisher(client, self.layout, ADDRESS, EXAMPLE, clock=self.world.clock)
        self.publishers.append((publisher, client))
        client.connect()
        self.world.pump()
        kazoo, path = self.world.clients[-1], self.layout.function(API, "echo")
        real = kazoo.create_async

        def too_late(created: str, *arguments: Any, **keywords: Any) -> Any:
            if created == path:
                self.world.put(path, b"theirs")
            return real(created, *arguments, **keywords)

        self.patch(kazoo, "create_async", too_late)
        publisher.start()
        self.world.advance(0.2)
        self.assertEqual((self.data(path), publisher.published), (b"theirs", True))

    def test_a_second_server_writes_little_and_an_audit_nothing(self) -> None:
        self.publish(OTHER)
        self.world.requests.clear()
        self.publish()
        writes = [path for what, path in self.world.requests if what in ("create", "set", "delete")]
        self.assertEqual(len(writes), 5)  # itself, and for each namespace a member and a candidate
        self.world.requests.clear()
        self.world.advance(40)
        self.assertGreater(len(self.world.requests), 5)
        self.assertEqual(
            [path for what, path in self.world.requests if what in ("create", "set", "delete")], []
        )

    def test_it_says_when_everything_stands(self) -> None:
        publisher, _ = self.publish(connect=False)
        done = publisher.when_published()
        self.assertNoResult(done)
        self.assertFalse(publisher.published)
        self.publishers[0][1].connect()
        self.world.advance(0.2)
        self.assertIsNone(self.successResultOf(done))
        self.assertTrue(publisher.published)
        self.assertStands()

    def test_what_cannot_stand_in_zookeeper_is_refused_at_once(self) -> None:
        client = self.world.client(connect=False)
        for address, namespaces, data in (
            ("nowhere", {}, None),
            (ADDRESS, {"a/b": {}}, None),
            (ADDRESS, {"_a": {}}, None),
            (ADDRESS, {"a": {"/": {}}}, None),
            (ADDRESS, {"a": {"f": {Keyword("doc"): object()}}}, None),
            (ADDRESS, {}, object()),
        ):
            with self.assertRaises(ConfigurationError):
                Publisher(client, self.layout, address, namespaces, data, clock=self.world.clock)

    def test_a_server_without_namespaces_is_still_a_server(self) -> None:
        self.publish(namespaces={})
        self.assertIn(self.layout.server(ADDRESS), self.world.nodes)


class SurvivalTests(PublisherCase):
    def setUp(self) -> None:
        super().setUp()
        self.publisher, self.kazoo = self.publish()

    def test_a_short_break_changes_nothing(self) -> None:
        before = self.world.zxid
        self.kazoo.suspend()
        self.world.advance(0.1)
        self.assertEqual(self.world.zxid, before)
        self.assertTrue(self.publisher.published)

    def test_an_expired_session_is_published_again(self) -> None:
        self.kazoo.expire()
        self.assertNotIn(self.layout.server(ADDRESS), self.world.nodes)
        self.world.pump()
        self.assertFalse(self.publisher.published)
        self.world.advance(0.1)
        self.assertStands()
        self.assertTrue(self.publisher.published)

    def test_a_client_thread_that_died_is_published_again_over_its_old_nodes(self) -> None:
        self.kazoo.lose(KeeperState.CLOSED)
        self.world.advance(1.5)
        self.assertStands()

    def test_foreign_deletion_is_put_right(self) -> None:
        for path in (
            self.layout.server(ADDRESS),
            self.layout.member(API, ADDRESS),
            self.layout.namespaces,
            self.layout.servers,
            self.layout.root,
        ):
            self.world.remove(path)
            self.world.advance(3)
            self.assertStands()
            self.world.advance(10)

    def test_a_deletion_that_goes_on_while_it_is_put_right_is_put_right_to_its_end(self) -> None:
        self.world.remove(self.layout.member(API, ADDRESS))
        self.world.advance(1)
        self.world.remove(f"{self.layout.root}/functions")
        self.world.advance(2)
        self.assertIn(self.layout.function(API, "echo"), self.world.nodes)

    def test_a_deleted_leader_node_is_put_right_by_the_next_audit(self) -> None:
        self.world.remove(self.layout.leader(API))
        self.world.advance(40)
        self.assertStands()

    def test_foreign_data_are_put_right(self) -> None:
        self.world.put(self.layout.server(ADDRESS), b"{:weight 99}")
        self.world.advance(1)
        self.assertEqual(self.data(self.layout.server(ADDRESS)), b"nil")

    def test_an_answer_that_was_lost_is_no_harm(self) -> None:
        self.world.remove(self.layout.server(ADDRESS))
        self.world.answers_lost = True
        self.world.advance(1)
        self.world.answers_lost = False
        self.kazoo.suspend()
        self.world.advance(1)
        self.assertStands()

    def test_an_outage_costs_no_attempts(self) -> None:
        self.world.reachable = False
        self.kazoo.suspend()
        self.world.requests.clear()
        self.world.advance(100)
        self.assertEqual(self.world.requests, [])
        self.world.reachable = True
        self.world.advance(0.1)
        self.assertStands()

    def test_two_servers_of_one_address_do_not_fight_in_a_tight_loop(self) -> None:
        self.publish(ADDRESS)
        self.world.advance(60)
        self.world.requests.clear()
        self.world.advance(60)
        self.assertLess(len(self.world.requests), 400)

    def test_a_refusal_is_tried_again(self) -> None:
        self.world.refusing[self.layout.server(ADDRESS)] = exceptions.NoAuthError
        self.kazoo.expire()
        self.world.advance(5)
        self.assertFalse(self.publisher.published)
        del self.world.refusing[self.layout.server(ADDRESS)]
        self.world.advance(31)
        self.assertTrue(self.publisher.published)


class OldSessionTests(PublisherCase):
    def test_nodes_of_an_old_session_are_replaced_and_survive_its_end(self) -> None:
        for path in (self.layout.server(ADDRESS), self.layout.member(API, ADDRESS)):
            self.world.put(path, b"", owner=0x42)
        self.publish()
        self.assertStands()
        self.world.end_session(0x42)
        self.world.advance(1)
        self.assertStands()


class RefusalTests(PublisherCase):
    """What ZooKeeper refuses in one place is tried again, and keeps nothing else from being published."""

    def test_in_one_namespace(self) -> None:
        for path in (
            self.layout.functions(API),
            self.layout.mutex(API),
            self.layout.member(API, ADDRESS),
            self.layout.server(ADDRESS),
        ):
            self.world.refusing[path] = exceptions.NoAuthError
            publisher, _ = self.publish()
            self.world.advance(2)
            self.assertIn(API2, self.found(), path)
            self.assertFalse(publisher.published)
            del self.world.refusing[path]
            self.world.advance(40)
            self.assertTrue(publisher.published, path)
            publisher.stop()
            self.world.advance(1)


class StopTests(PublisherCase):
    def test_stopping_removes_the_namespaces_first_and_keeps_what_is_persistent(self) -> None:
        publisher, _ = self.publish()
        self.world.requests.clear()
        stopping = publisher.stop()
        self.world.pump()
        self.assertIsNone(self.successResultOf(stopping))
        deleted = [path for what, path in self.world.requests if what == "delete"]
        self.assertEqual(deleted[-1], self.layout.server(ADDRESS))
        self.assertEqual(len(deleted), 5)
        self.assertIn(self.layout.function(API, "echo"), self.world.nodes)
        self.world.advance(100)
        self.assertNotIn(self.layout.server(ADDRESS), self.world.nodes)

    def test_without_a_connection_it_stops_at_once(self) -> None:
        publisher, kazoo = self.publish()
        self.world.reachable = False
        kazoo.suspend()
        self.world.pump()
        self.assertIsNone(self.successResultOf(publisher.stop()))

    def test_a_connection_that_does_not_answer_holds_it_up_for_five_seconds(self) -> None:
        publisher, _ = self.publish()
        self.world.answers_lost = True
        stopping = publisher.stop()
        self.world.advance(4.9)
        self.assertNoResult(stopping)
        self.world.advance(0.2)
        self.assertIsNone(self.successResultOf(stopping))

    def test_who_waits_for_it_learns_that_it_stopped(self) -> None:
        publisher, _ = self.publish(connect=False)
        waiting: Deferred[None] = publisher.when_published()
        publisher.stop()
        self.failureResultOf(waiting, ZookeeperError)
