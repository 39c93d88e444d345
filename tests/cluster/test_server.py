"""A member of a cluster, on an ensemble and listeners held in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from slacker.cluster import ClusterServer
from slacker.cluster.layout import Layout
from slacker.content.values import Keyword
from slacker.errors import ConfigurationError, ZookeeperError
from slacker.server import SlackerServer, nonblocking
from slacker.zookeeper.session import ZookeeperSession
from tests.zookeeper.fakes import FakeReactor, install
from tests.zookeeper.test_election import SESSION, negotiate

LOOPBACK = "tcp:2104:interface=127.0.0.1"
ADDRESS = "127.0.0.1:2104"


class FakePort:
    def __init__(self, reactor: ListeningReactor, address: Any) -> None:
        self._reactor = reactor
        self._address = address

    def getHost(self) -> Any:
        return self._address

    def stopListening(self) -> None:
        self._reactor.note("stops listening")


class ListeningReactor(FakeReactor):
    """Takes every listener, and notes what happens."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    def note(self, what: str) -> None:
        self.noted.append(what)

    def listenTCP(self, port: int, factory: object, backlog: int, interface: str) -> FakePort:
        kind = IPv6Address if ":" in interface else IPv4Address
        return FakePort(self, kind("TCP", interface or "0.0.0.0", port))

    def listenUNIX(self, address: str, *_: object, **__: object) -> FakePort:
        return FakePort(self, UNIXAddress(address))


class MemberCase(SynchronousTestCase):
    """Makes members, and stops them."""

    def setUp(self) -> None:
        self.world = install(self)
        self.reactor = self.world.clock = ListeningReactor()
        negotiate(self)
        self.layout = Layout("/slacker/cluster", "c")
        self.members: list[ClusterServer] = []
        self.told: list[tuple[str, bool]] = []  # of leadership
        self.waiting: list[Deferred[Any]] = []  # calls that run

    def tearDown(self) -> None:
        self.world.answers_lost = False
        for member in self.members:
            member.stop()
            self.world.advance(8)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def reach(self, local: str, peer: str) -> None:
        """Let connections to ZooKeeper have these ends."""
        self.patch(ZookeeperSession, "local_host", local)
        self.patch(ZookeeperSession, "peer_host", peer)

    def member(self, endpoint: str | None = LOOPBACK, **options: Any) -> ClusterServer:
        """A member that exposes ``a`` and ``b``, and has had its time."""

        def wait() -> Deferred[Any]:
            self.waiting.append(Deferred())
            return self.waiting[-1]

        exposed: dict[str, dict[str, Callable[..., Any]]] = {"a": {"wait": wait}, "b": {"echo": lambda x: x}}
        server = SlackerServer([nonblocking(exposed)], reactor=self.reactor)
        options.setdefault("on_leadership", lambda namespace, leads: self.told.append((namespace, leads)))
        member = ClusterServer(server, "c", reactor=self.reactor, **options)
        self.members.append(member)
        if endpoint is not None:
            member.listen(endpoint)
            self.world.advance(0.2)
        return member

    def found(self, address: str = ADDRESS) -> list[str]:
        """The namespaces in which clients find the server."""
        return [name for name in "ab" if self.layout.member(name, address) in self.world.nodes]

    def done(self, deferred: Deferred[Any], seconds: float = 0.5) -> Any:
        """What the Deferred brings within so many seconds."""
        self.world.advance(seconds)
        return self.successResultOf(deferred)

    def fails(self, deferred: Deferred[Any], error: type[Exception] = ConfigurationError) -> str:
        """What the Deferred fails with at once."""
        return str(self.failureResultOf(deferred, error).value)


class PublishedTests(MemberCase):
    def test_it_says_when_it_is_published(self) -> None:
        member = self.member(None)
        published = member.when_published()
        self.assertNoResult(published)
        member.listen(LOOPBACK)
        self.assertIsNone(self.done(published))
        self.assertEqual(self.found(), ["a", "b"])

    def test_it_serves_while_zookeeper_is_away_and_is_published_when_it_comes(self) -> None:
        self.world.reachable = False
        member = self.member()
        published = member.when_published()
        self.world.advance(30)
        self.assertNoResult(published)
        self.world.reachable = True
        self.assertIsNone(self.done(published))

    def test_who_waits_for_a_member_that_has_no_address_learns_why(self) -> None:
        self.reach("192.0.2.7", "192.0.2.8")
        member = self.member(None)
        waiting = [member.when_published(), member.unpublish("a"), member.set_server_data(1)]
        member.listen(LOOPBACK)
        self.world.advance(0.2)
        for deferred in waiting:
            self.assertIn("127.0.0.1 means another machine", self.fails(deferred))

    def test_who_waits_may_stop_waiting(self) -> None:
        member = self.member(None)
        waiting = member.when_published()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        member.listen(LOOPBACK)
        self.assertIsNone(self.done(member.when_published()))

    def test_who_waits_learns_that_it_was_stopped(self) -> None:
        for member in (self.member(None), self.member()):
            if member.zookeeper.connected:
                self.world.answers_lost = True
                self.world.clients[-1].expire()
                self.world.pump()
            waiting = member.when_published()
            member.stop()
            self.world.advance(8)
            self.failureResultOf(waiting, ZookeeperError)
            self.failureResultOf(member.when_published(), ZookeeperError)
            self.world.answers_lost = False

    def test_what_cannot_be_published_is_refused_at_once(self) -> None:
        for options in ({"cluster": "a/b"}, {"server_data": object()}, {"zk": "x:y"}, {"zk_root": "a"}):
            with self.assertRaises(ConfigurationError):
                ClusterServer(
                    SlackerServer([], reactor=self.reactor),
                    **{"cluster": "c", "reactor": self.reactor, **options},  # type: ignore[arg-type]
                )


class ControlTests(MemberCase):
    def test_a_namespace_is_unpublished_and_published(self) -> None:
        member = self.member()
        self.assertIsNone(self.done(member.unpublish("a")))
        self.assertEqual(self.found(), ["b"])
        self.assertIsNone(self.done(member.unpublish("a")))
        self.assertIsNone(self.done(member.publish("a")))
        self.assertEqual(self.found(), ["a", "b"])

    def test_all_of_them_are(self) -> None:
        member = self.member()
        self.done(member.unpublish())
        self.assertEqual(self.found(), [])
        self.done(member.publish("a"))
        self.assertEqual(self.found(), ["a"])
        self.done(member.publish())
        self.assertEqual(self.found(), ["a", "b"])

    def test_a_name_is_taken_exactly(self) -> None:
        member = self.member(manager=True)
        for name in ("", "A", "a/", "a.b", "slacker.cluster.manager", "_leader"):
            for control in (member.publish, member.unpublish):
                self.assertIn("it has: a, b", self.fails(control(name)))
            with self.assertRaises(ConfigurationError):
                member.is_leader(name)
        self.assertEqual(self.found(), ["a", "b"])

    def test_what_is_said_before_the_first_contact_holds(self) -> None:
        member = self.member(None)
        unpublished, data = member.unpublish("a"), member.set_server_data({Keyword("weight"): 2})
        member.listen(LOOPBACK)
        self.assertIsNone(self.done(unpublished))
        self.assertIsNone(self.successResultOf(data))
        self.assertEqual(self.found(), ["b"])
        self.assertEqual(self.world.nodes[self.layout.server(ADDRESS)].data, b"{:weight 2}")

    def test_what_is_said_holds_after_an_expiry(self) -> None:
        member = self.member()
        self.done(member.unpublish("a"))
        self.done(member.set_server_data(7))
        self.world.clients[-1].expire()
        self.assertIsNone(self.done(member.when_published()))
        self.assertEqual(self.found(), ["b"])
        self.assertEqual(self.world.nodes[self.layout.server(ADDRESS)].data, b"7")

    def test_server_data_are_told_and_refused_where_edn_cannot_say_them(self) -> None:
        member = self.member(server_data=1)
        self.assertEqual(member.server_data, 1)
        self.done(member.set_server_data([2]))
        self.assertEqual(member.server_data, [2])
        self.assertIn("object", self.fails(member.set_server_data(object())))
        self.assertIn("object", self.fails(self.member(None).set_server_data(object())))
        self.assertEqual(member.server_data, [2])

    def test_after_stop_everything_fails_with_one_sentence(self) -> None:
        member = self.member()
        self.done(member.stop(), 8)
        for deferred in (member.publish(), member.unpublish("a"), member.set_server_data(2)):
            self.fails(deferred, ZookeeperError)


class LeadershipTests(MemberCase):
    def test_the_only_server_leads_and_is_told(self) -> None:
        member = self.member()
        self.assertTrue(member.is_leader("a"))
        self.assertEqual(self.told, [("a", True), ("b", True)])

    def test_nobody_leads_before_zookeeper_was_reached(self) -> None:
        self.assertFalse(self.member(None).is_leader("a"))
        self.assertEqual(self.told, [])

    def test_nobody_needs_to_be_told(self) -> None:
        self.assertTrue(self.member(on_leadership=None).is_leader("a"))

    def test_unpublishing_and_stopping_end_it(self) -> None:
        member = self.member()
        unpublished = member.unpublish("a")
        self.assertFalse(member.is_leader("a"))
        member.stop()
        self.failureResultOf(unpublished, ZookeeperError)
        self.assertFalse(member.is_leader("b"))
        self.assertEqual(self.told[2:], [("a", False), ("b", False)])

    def test_a_server_out_of_reach_stops_before_its_session_can_end(self) -> None:
        member = self.member()
        self.world.clients[-1].step = lambda: False  # type: ignore[method-assign]
        self.world.advance(SESSION * 0.7)
        self.assertFalse(member.is_leader("a"))
        self.assertEqual(self.told[2:], [("a", False), ("b", False)])

    def test_a_call_back_may_stop_the_member(self) -> None:
        member = self.member(None)
        stopping: list[Deferred[None]] = []
        member._on_leadership = lambda namespace, leads: stopping.append(member.stop())
        member.listen(LOOPBACK)
        self.world.advance(8)
        for stopped in stopping:
            self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual(self.found(), [])


class StopTests(MemberCase):
    def test_it_leaves_zookeeper_then_serves_until_it_is_quiet_then_closes(self) -> None:
        member = self.member()
        self.world.requests.clear()
        stopped = member.stop()
        self.world.pump()
        self.assertEqual(self.found(), [])
        self.assertNotIn(self.layout.server(ADDRESS), self.world.nodes)
        self.assertEqual(self.reactor.noted, [])  # it still listens
        self.world.advance(0.2)
        self.assertNoResult(stopped)
        self.assertTrue(member.zookeeper.connected)
        self.assertIsNone(self.done(stopped, 0.1))
        self.assertEqual(self.reactor.noted, ["stops listening"])
        self.assertFalse(member.zookeeper.connected)

    def test_clients_that_never_cease_to_call_are_served_for_two_seconds(self) -> None:
        member = self.member()
        stopped = member.stop()
        for _ in range(19):
            member.server.called = True
            self.world.advance(0.1)
            self.assertFalse(member.server.draining)
        member.server.called = True
        self.world.advance(0.2)
        self.assertTrue(member.server.draining)
        self.assertIsNone(self.successResultOf(stopped))

    def test_without_a_connection_to_zookeeper_it_does_not_wait(self) -> None:
        member = self.member()
        self.world.reachable = False
        self.world.clients[-1].suspend()
        self.world.pump()
        self.assertIsNone(self.done(member.stop(), 0.05))

    def test_a_zookeeper_that_does_not_answer_holds_it_up_for_seconds_only(self) -> None:
        member = self.member()
        self.world.answers_lost = True
        stopped = member.stop()
        self.world.advance(4.9)
        self.assertNoResult(stopped)
        self.assertIsNone(self.done(stopped, 2.5))

    def test_before_it_listens_there_is_nothing_to_stop(self) -> None:
        self.assertIsNone(self.done(self.member(None).stop(), 0))

    def test_stopping_twice_is_stopping_once(self) -> None:
        member = self.member()
        stopping = [member.stop(), member.stopService(), member.stop()]
        self.world.advance(1)
        for stopped in stopping:
            self.assertIsNone(self.successResultOf(stopped))
        self.assertIsNone(self.successResultOf(member.stop()))
        self.assertEqual(self.reactor.noted, ["stops listening"])

    def test_a_member_that_is_stopped_while_it_connects_is_never_published(self) -> None:
        self.world.reachable = False
        member = self.member()
        stopped = member.stop()
        self.world.reachable = True
        self.assertIsNone(self.done(stopped, 5))
        self.assertNotIn(self.layout.servers, self.world.nodes)
