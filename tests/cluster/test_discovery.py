"""What a client knows of a cluster, through all that may happen to ZooKeeper."""

from __future__ import annotations

from kazoo import exceptions
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from slacker.cluster import discovery as module
from slacker.cluster import zookeeper_discovery
from slacker.cluster.discovery import IDiscovery, NamespaceView, StaticDiscovery
from slacker.cluster.layout import Layout
from slacker.cluster.zookeeper_discovery import ZookeeperDiscovery
from slacker.content.values import Keyword
from slacker.errors import ConfigurationError, ZookeeperError
from tests.zookeeper.fakes import install

API = "slacker.example.api"
ONE, TWO, THREE = "10.0.0.1:2104", "10.0.0.2:2104", "10.0.0.3:2104"


class DiscoveryCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = install(self)
        self.client = self.world.client()
        self.kazoo = self.world.clients[0]
        self.layout = Layout("/slacker/cluster", "example-cluster")
        self.discovery = ZookeeperDiscovery(self.client, self.layout, clock=self.world.clock)
        self.changes: list[tuple[tuple[str, ...], str | None]] = []
        self.discovery.subscribe(lambda view: self.changes.append((view.servers, view.leader)))
        self.discovery.start()

    def tearDown(self) -> None:
        self.discovery.stop()
        self.client.close()
        self.world.pump()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def join(self, address: str, namespace: str = API) -> None:
        self.world.put(self.layout.member(namespace, address))

    def leave(self, address: str, namespace: str = API) -> None:
        self.world.remove(self.layout.member(namespace, address))

    def lead(self, address: str) -> None:
        self.world.put(self.layout.leader(API), address.encode())

    def view(self) -> NamespaceView:
        view = self.discovery.view(API)
        self.world.advance(0.1)
        return view


class ViewTests(DiscoveryCase):
    def test_it_keeps_the_promises_of_the_interface(self) -> None:
        verifyObject(IDiscovery, self.discovery)

    def test_servers_are_followed_in_order_of_address(self) -> None:
        self.join(TWO)
        self.join(ONE)
        view = self.view()
        self.assertEqual(view.servers, (ONE, TWO))
        self.join(THREE)
        self.leave(TWO)
        self.world.advance(0.1)
        self.assertEqual(view.servers, (ONE, THREE))
        self.assertIs(self.discovery.view(API), view)
        self.assertEqual(self.changes, [((ONE, TWO), None), ((ONE, THREE), None)])

    def test_a_namespace_nobody_published_is_empty_for_certain(self) -> None:
        view = self.discovery.view(API)
        confirmed = view.when_confirmed()
        self.assertFalse(view.confirmed)
        self.assertNoResult(confirmed)
        self.world.advance(0.1)
        self.assertIsNone(self.successResultOf(confirmed))
        self.assertEqual((view.servers, view.leader, view.confirmed), ((), None, True))
        self.join(ONE)
        self.world.advance(0.1)
        self.assertEqual(view.servers, (ONE,))

    def test_when_it_was_confirmed_is_known(self) -> None:
        view = self.view()
        first = view.confirmed_at
        self.world.advance(5)
        self.join(ONE)
        self.world.advance(0.1)
        assert first is not None
        assert view.confirmed_at is not None
        self.assertGreater(view.confirmed_at, first + 4)
        self.assertIsNone(self.successResultOf(view.when_confirmed()))

    def test_a_leader_counts_only_as_a_live_server(self) -> None:
        self.lead(TWO)
        self.join(ONE)
        view = self.view()
        self.assertIsNone(view.leader)
        self.join(TWO)
        self.world.advance(0.1)
        self.assertEqual(view.leader, TWO)
        self.leave(TWO)
        self.world.advance(0.1)
        self.assertEqual((view.servers, view.leader), ((ONE,), None))
        self.lead(ONE)
        self.world.advance(0.1)
        self.assertEqual(view.leader, ONE)
        self.assertEqual(self.changes, [((ONE,), None), ((ONE, TWO), TWO), ((ONE,), None), ((ONE,), ONE)])

    def test_a_leader_that_is_known_comes_with_the_first_servers(self) -> None:
        self.join(ONE)
        self.lead(ONE)
        view = self.discovery.view(API)
        confirmed = view.when_confirmed().addCallback(lambda _: view.leader)
        self.world.advance(0.1)
        self.assertEqual(self.successResultOf(confirmed), ONE)

    def test_the_clusters_own_nodes_are_no_servers(self) -> None:
        self.world.put(self.layout.mutex(API))
        self.world.put(f"{self.layout.namespace(API)}/_anything")
        self.join(ONE)
        self.assertEqual(self.view().servers, (ONE,))

    def test_a_child_that_is_no_address_harms_nobody_else(self) -> None:
        self.join(ONE)
        for name in ("nonsense", "host:port", "host:0"):
            self.world.put(f"{self.layout.namespace(API)}/{name}")
        self.assertEqual(self.view().servers, (ONE,))
        self.join(TWO)
        self.world.advance(0.1)
        self.assertEqual(self.discovery.view(API).servers, (ONE, TWO))

    def test_a_leader_node_with_anything_in_it_names_nobody(self) -> None:
        self.join(ONE)
        view = self.view()
        for data in (None, b"", b"\xff\xfe", b"nonsense"):
            self.world.put(self.layout.leader(API), data)
            self.world.advance(0.1)
            self.assertIsNone(view.leader)

    def test_namespaces_are_followed_apart(self) -> None:
        self.join(ONE)
        self.join(TWO, "other")
        self.assertEqual(self.view().servers, (ONE,))
        other = self.discovery.view("other")
        self.world.advance(0.1)
        self.assertEqual(other.servers, (TWO,))

    def test_names_no_namespace_can_have_are_refused(self) -> None:
        for name in ("", "a/b", "_leader"):
            self.assertRaises(ConfigurationError, self.discovery.view, name)

    def test_there_is_a_limit_to_namespaces(self) -> None:
        self.patch(module, "_MAX_NAMESPACES", 1)
        self.view()
        self.assertRaises(ConfigurationError, self.discovery.view, "another")
        self.assertRaises(ConfigurationError, self.discovery.view, "another")
        self.view()

    def test_a_subscriber_that_raises_hides_nothing_from_the_others(self) -> None:
        def broken(view: NamespaceView) -> None:
            raise ValueError("broken")

        later: list[tuple[str, ...]] = []
        self.discovery.subscribe(broken)
        self.discovery.subscribe(lambda view: later.append(view.servers))
        self.join(ONE)
        self.view()
        self.assertEqual(later, [(ONE,)])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class OutageTests(DiscoveryCase):
    def setUp(self) -> None:
        super().setUp()
        self.join(ONE)
        self.join(TWO)
        self.followed = self.view()
        self.changes.clear()

    def test_while_zookeeper_is_away_the_last_known_servers_stay(self) -> None:
        self.world.reachable = False
        self.kazoo.suspend()
        self.leave(ONE)
        self.leave(TWO)
        self.world.advance(3_600)
        self.assertEqual(self.followed.servers, (ONE, TWO))
        self.world.reachable = True
        self.join(THREE)
        self.world.advance(0.1)
        self.assertEqual(self.followed.servers, (THREE,))

    def test_an_expired_session_loses_nothing(self) -> None:
        self.kazoo.expire()
        self.world.advance(0.1)
        self.leave(ONE)
        self.world.advance(0.1)
        self.assertEqual(self.changes, [((TWO,), None)])

    def test_an_empty_answer_is_honoured_after_a_grace(self) -> None:
        self.leave(ONE)
        self.leave(TWO)
        self.world.advance(1.9)
        self.assertEqual(self.followed.servers, (ONE, TWO))
        self.world.advance(0.3)
        self.assertEqual(self.followed.servers, ())
        self.assertEqual(self.changes, [((), None)])

    def test_a_vanished_namespace_is_an_empty_answer(self) -> None:
        self.world.remove(self.layout.root)
        self.world.advance(1)
        self.assertEqual(self.followed.servers, (ONE, TWO))
        self.world.advance(2)
        self.assertEqual(self.followed.servers, ())

    def test_servers_that_are_back_within_the_grace_were_never_away(self) -> None:
        self.leave(ONE)
        self.leave(TWO)
        self.world.advance(1)
        self.join(ONE)
        self.join(TWO)
        self.world.advance(10)
        self.assertEqual(self.changes, [])

    def test_started_while_zookeeper_is_away_it_waits(self) -> None:
        self.world.reachable = False
        client = self.world.client()
        discovery = ZookeeperDiscovery(client, self.layout, clock=self.world.clock)
        view = discovery.view(API)
        confirmed = view.when_confirmed()
        discovery.start()
        self.world.advance(5)
        self.assertNoResult(confirmed)
        self.assertFalse(view.confirmed)
        self.world.reachable = True
        self.world.advance(0.1)
        self.assertIsNone(self.successResultOf(confirmed))
        self.assertEqual(view.servers, (ONE, TWO))
        discovery.stop()
        client.close()

    def test_a_thousand_servers_join_with_a_few_reads(self) -> None:
        self.world.requests.clear()
        for number in range(1_000):
            self.join(f"10.1.{number // 250}.{number % 250}:2104")
            if number % 5 == 0:
                self.world.pump()
        self.world.advance(0.2)
        self.assertEqual(len(self.followed.servers), 1_002)
        self.assertLess(len(self.world.requests), 10)

    def test_stopping_ends_the_waiting(self) -> None:
        self.world.refusing[self.layout.namespace("other")] = exceptions.NoAuthError
        view = self.discovery.view("other")
        given_up = view.when_confirmed()
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        waiting = view.when_confirmed()
        self.world.advance(0.1)
        self.assertIsNone(self.successResultOf(self.discovery.stop()))
        self.failureResultOf(waiting, ZookeeperError)
        self.assertEqual(self.followed.servers, (ONE, TWO))


class ServerDataTests(DiscoveryCase):
    def read(self, address: str) -> object:
        self.discovery.server_data(address)
        self.world.advance(0.1)
        return self.discovery.server_data(address)

    def test_data_are_known_after_they_were_asked_for(self) -> None:
        path = self.layout.server(ONE)
        self.world.put(path, b"{:weight 3}")
        self.assertIsNone(self.discovery.server_data(ONE))
        self.world.advance(0.1)
        self.assertEqual(self.discovery.server_data(ONE), {Keyword("weight"): 3})
        self.world.put(path, b"{:weight 7}")
        self.world.advance(0.1)
        self.assertEqual(self.discovery.server_data(ONE), {Keyword("weight"): 7})

    def test_data_that_are_no_edn_are_none(self) -> None:
        for data in (b"{:a", b"", None, b"\xff"):
            self.world.put(self.layout.server(ONE), data)
            self.assertIsNone(self.read(ONE))
        self.world.put(self.layout.server(ONE), b"5")
        self.assertEqual(self.read(ONE), 5)

    def test_a_server_that_is_gone_is_forgotten(self) -> None:
        self.world.put(self.layout.server(ONE), b"5")
        self.join(ONE)
        self.view()
        self.assertEqual(self.read(ONE), 5)
        self.world.remove(self.layout.server(ONE))
        self.world.advance(0.1)
        self.world.requests.clear()
        self.assertIsNone(self.read(ONE))
        self.assertEqual(self.world.requests, [])
        self.join(TWO)
        self.leave(ONE)
        self.world.advance(0.1)
        self.world.requests.clear()
        self.assertIsNone(self.read(ONE))
        self.assertIn(("get", self.layout.server(ONE)), self.world.requests)

    def test_there_is_a_limit_to_servers(self) -> None:
        self.patch(zookeeper_discovery, "_MAX_SERVERS", 1)
        for address in (ONE, TWO):
            self.world.put(self.layout.server(address), b"5")
        self.assertEqual((self.read(ONE), self.read(TWO)), (5, None))

    def test_what_is_asked_before_the_start_is_followed_from_then(self) -> None:
        self.world.put(self.layout.server(ONE), b"5")
        discovery = ZookeeperDiscovery(self.client, self.layout, clock=self.world.clock)
        self.assertIsNone(discovery.server_data(ONE))
        discovery.start()
        self.world.advance(0.1)
        self.assertEqual(discovery.server_data(ONE), 5)
        discovery.stop()

    def test_no_address_is_refused(self) -> None:
        self.assertRaises(ConfigurationError, self.discovery.server_data, "nowhere")


class StaticTests(SynchronousTestCase):
    def test_all_namespaces_are_on_all_servers(self) -> None:
        discovery = StaticDiscovery([TWO, ONE, TWO])
        verifyObject(IDiscovery, discovery)
        discovery.subscribe(lambda view: self.fail("nothing changes"))
        discovery.start()
        view = discovery.view(API)
        self.assertEqual((view.servers, view.leader, view.confirmed), ((ONE, TWO), None, True))
        self.assertIsNone(self.successResultOf(view.when_confirmed()))
        self.assertIs(discovery.view(API), view)
        self.assertIsNone(discovery.server_data(ONE))
        self.assertIsNone(self.successResultOf(discovery.stop()))

    def test_what_is_no_address_is_refused(self) -> None:
        self.assertRaises(ConfigurationError, StaticDiscovery, ["nowhere"])

    def test_there_is_a_limit_to_namespaces(self) -> None:
        self.patch(module, "_MAX_NAMESPACES", 1)
        discovery = StaticDiscovery([ONE])
        discovery.view("a")
        self.assertRaises(ConfigurationError, discovery.view, "b")
