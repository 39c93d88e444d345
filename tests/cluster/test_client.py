"""A cluster client among servers in memory, told by hand which of them there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from slacker.cluster.client import ClusterClient
from slacker.cluster.discovery import IDiscovery, NamespaceView, StaticDiscovery
from slacker.errors import (
    ClusterError,
    ConfigurationError,
    ConnectionLost,
    NotSent,
    RemoteError,
    ServerBusy,
    Unavailable,
)
from slacker.server import SlackerServer, nonblocking
from slacker.testing import Network

A, B, C = "10.0.0.1:2104", "10.0.0.2:2104", "10.0.0.3:2104"


@implementer(IDiscovery)
class ToldDiscovery:
    """Knows what a test tells it."""

    def __init__(self) -> None:
        self.views: dict[str, NamespaceView] = {}
        self.running = False
        self._callback: Callable[[NamespaceView], None] = lambda _: None

    def start(self) -> None:
        self.running = True

    def stop(self) -> Deferred[None]:
        self.running = False
        return succeed(None)

    def view(self, namespace: str) -> NamespaceView:
        return self.views.setdefault(namespace, NamespaceView(namespace))

    def server_data(self, address: str) -> Any:
        return None

    def subscribe(self, callback: Callable[[NamespaceView], None]) -> None:
        self._callback = callback

    def tell(self, namespace: str, *servers: str, leader: str | None = None) -> None:
        view = self.view(namespace)
        view.servers, view.leader, view.confirmed = tuple(sorted(servers)), leader, True
        self._callback(view)


class ClusterClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()
        self.discovery = ToldDiscovery()
        self.servers: dict[str, SlackerServer] = {}
        self.calls: list[str] = []
        self.waiting: list[Deferred[Any]] = []
        for address in (A, B, C):
            self.start(address)
        self.client = self.cluster()

    def start(self, address: str) -> None:
        def where() -> str:
            self.calls.append(address)
            return address

        def fails_on(failing: list[str]) -> str:
            if address in failing:
                raise ValueError(f"no, says {address}")
            return address

        def wait() -> Deferred[Any]:
            self.waiting.append(Deferred())
            return self.waiting[-1]

        functions: dict[str, Callable[..., Any]] = {"where": where, "fails-on": fails_on, "wait": wait}
        self.servers[address] = self.network.serve(address, [nonblocking({"n": functions, "m": functions})])

    def cluster(self, **options: Any) -> ClusterClient:
        client = ClusterClient(
            "c",
            **{
                "discovery": self.discovery,
                "connect": self.network.client,
                "reactor": self.network.reactor,
                **options,
            },
        )
        self.addCleanup(self.finish, client)
        return client

    def finish(self, client: ClusterClient) -> None:
        closed = client.close()
        self.network.advance(2)
        self.successResultOf(closed)
        self.assertEqual(self.network.reactor.getDelayedCalls(), [])

    def result(self, call: Deferred[Any]) -> Any:
        self.network.flush()
        return self.successResultOf(call)

    def failure(self, call: Deferred[Any], kind: type[Exception]) -> Any:
        self.network.flush()
        return self.failureResultOf(call, kind).value

    def connect(self, *servers: str, leader: str | None = None) -> None:
        """Let the client know these servers of ``n``, and be connected to them."""
        self.discovery.tell("n", *servers, leader=leader)
        self.client.servers("n")
        self.network.flush()
        self.assertEqual(self.client.servers("n"), sorted(servers))

    # One server

    def test_a_call_goes_to_one_server_of_the_namespace(self) -> None:
        self.discovery.tell("n", A)
        self.assertEqual(self.result(self.client.call("n", "where")), A)
        self.assertTrue(self.discovery.running)

    def test_random_calls_spread_over_the_servers(self) -> None:
        self.connect(A, B)
        answers = [self.result(self.client.call("n", "where")) for _ in range(100)]
        self.assertEqual(set(answers), {A, B})
        self.assertEqual(len(self.calls), 100)

    def test_first_is_the_leader_where_known_and_connected_else_the_first_address(self) -> None:
        self.connect(A, B, leader=B)
        first = self.client.function("n/where", grouping="first")
        self.assertEqual(self.result(first()), B)
        self.network.refuse(B)
        self.assertEqual(self.result(first()), A)

    def test_facades_work_as_a_clients_do(self) -> None:
        self.connect(A)
        self.assertEqual(self.result(self.client.namespace("n").where()), A)
        self.assertEqual(self.result(self.client.namespace("n")["where"]()), A)
        self.assertEqual(self.result(self.client.function("n/where")()), A)

    def test_a_remote_exception_is_raised_as_it_came(self) -> None:
        self.connect(A)
        error = self.failure(self.client.call("n", "fails-on", [[A]]), RemoteError)
        self.assertEqual(error.server, A)

    # All servers

    def test_all_servers_are_asked_and_their_answers_merged(self) -> None:
        self.connect(A, B, C)
        for results, expected in [
            ("map", {A: A, B: B, C: C}),
            ("vector", [A, B, C]),
            ("single", A),
            ("nil", None),
        ]:
            call = self.client.call("n", "where", grouping="all", grouping_results=results)
            self.assertEqual(self.result(call), expected)
        self.assertEqual(sorted(self.calls), sorted([A, B, C] * 4))

    def test_only_connected_servers_are_asked_and_results_bear_the_right_address(self) -> None:
        self.connect(A, B, C)
        self.network.refuse(A)
        every = self.client.function("n/where", grouping="all", grouping_results="map")
        self.assertEqual(self.result(every()), {B: B, C: C})

    def test_failures_of_some_are_left_out_or_raised_as_the_caller_says(self) -> None:
        self.connect(A, B, C)
        call = self.client.function("n/fails-on", grouping="all", grouping_results="map")
        self.assertEqual(self.result(call([B])), {A: A, C: C})
        error = self.failure(call.with_options(grouping_exceptions="any")([B]), ClusterError)
        self.assertEqual([outcome.address for outcome in error.outcomes], [A, B, C])
        self.assertEqual([outcome.value for outcome in error.outcomes], [A, None, C])
        self.assertIsInstance(error.outcomes[1].error, RemoteError)
        self.failure(call([A, B, C]), ClusterError)

    def test_each_outcome_tells_its_seconds(self) -> None:
        self.connect(A, B)
        call = self.client.call("n", "wait", grouping="all", grouping_exceptions="any")
        self.network.flush()
        self.network.advance(1)
        self.waiting[0].callback(1)
        self.network.advance(2)
        self.waiting[1].errback(ValueError())
        error = self.failure(call, ClusterError)
        self.assertEqual(sorted(outcome.seconds for outcome in error.outcomes), [1.0, 3.0])

    def test_one_server_with_a_map_result_gives_a_map(self) -> None:
        self.connect(A)
        self.assertEqual(self.result(self.client.call("n", "where", grouping_results="map")), {A: A})

    def test_cancelling_a_call_of_all_cancels_each(self) -> None:
        self.connect(A, B)
        call = self.client.call("n", "wait", grouping="all")
        self.network.flush()
        call.cancel()
        self.network.flush()
        self.failureResultOf(call)
        self.assertEqual([deferred.called for deferred in self.waiting], [True, True])

    # Servers that break

    def test_a_server_whose_connection_breaks_is_not_chosen_from_that_moment(self) -> None:
        self.connect(A, B)
        self.network.refuse(A)
        for _ in range(20):
            self.assertEqual(self.result(self.client.call("n", "where")), B)

    def test_a_call_that_was_in_flight_is_lost_and_not_made_again(self) -> None:
        self.connect(A)
        call = self.client.call("n", "wait")
        self.network.flush()
        self.network.cut(A)
        self.failure(call, ConnectionLost)
        self.network.advance(1)
        self.assertEqual(len(self.waiting), 1)

    def test_a_call_that_a_server_refuses_as_not_run_goes_to_another(self) -> None:
        self.connect(A, B)
        self.servers[A].draining = True
        for _ in range(20):
            self.assertEqual(self.result(self.client.call("n", "where")), B)

    def test_a_call_that_all_servers_refuse_fails_as_the_last_one_said(self) -> None:
        self.connect(A, B)
        self.servers[A].draining = self.servers[B].draining = True
        self.failure(self.client.call("n", "where"), ServerBusy)

    def test_a_call_of_all_servers_goes_nowhere_else(self) -> None:
        self.connect(A, B)
        self.servers[A].draining = True
        call = self.client.call(
            "n", "where", grouping="all", grouping_results="map", grouping_exceptions="any"
        )
        error = self.failure(call, ClusterError)
        self.assertIsInstance(error.outcomes[0].error, ServerBusy)
        self.assertEqual(self.calls, [B])

    def test_a_server_that_comes_back_is_used_again(self) -> None:
        self.connect(A)
        self.network.refuse(A)
        self.start(A)
        self.network.advance(1)
        self.assertEqual(self.result(self.client.call("n", "where")), A)

    # Waiting for servers

    def test_a_call_waits_until_it_is_known_who_there_is(self) -> None:
        call = self.client.call("n", "where")
        self.network.advance(1)
        self.assertNoResult(call)
        self.discovery.tell("n", B)
        self.assertEqual(self.result(call), B)

    def test_it_waits_no_longer_than_its_timeout(self) -> None:
        call = self.client.call("n", "where", timeout=2.0)
        self.network.advance(1.9)
        self.assertNoResult(call)
        self.network.advance(0.1)
        self.assertIn("ZooKeeper has not said", str(self.failure(call, Unavailable)))

    def test_it_waits_for_a_server_that_is_being_connected(self) -> None:
        self.network.refuse(A)
        self.discovery.tell("n", A)
        call = self.client.call("n", "where", timeout=5.0)
        self.network.advance(0.5)
        self.start(A)
        self.network.advance(1)
        self.assertEqual(self.result(call), A)

    def test_servers_that_cannot_be_reached_are_named(self) -> None:
        self.network.refuse(A)
        self.discovery.tell("n", A)
        call = self.client.call("n", "where", timeout=2.0)
        self.network.advance(2)
        self.assertIn(f"none of its 1 servers ({A}) is connected", str(self.failure(call, Unavailable)))

    def test_a_namespace_without_servers_is_unavailable_at_once(self) -> None:
        self.discovery.tell("n")
        error = self.failure(self.client.call("n", "where"), Unavailable)
        self.assertEqual(error.function, "n/where")

    def test_the_unavailable_value_stands_for_the_error_even_if_it_is_none(self) -> None:
        self.discovery.tell("n")
        self.assertIsNone(self.result(self.client.call("n", "where", unavailable_value=None)))
        self.assertEqual(self.result(self.cluster(unavailable_value=7).call("n", "where")), 7)

    def test_a_waiting_call_can_be_cancelled(self) -> None:
        call = self.client.call("n", "where")
        call.cancel()
        self.failureResultOf(call, CancelledError)
        self.discovery.tell("n", A)
        self.network.flush()
        self.assertEqual(self.calls, [])

    # The cluster changes

    def test_connections_are_opened_only_for_namespaces_in_use_and_closed_when_none_needs_them(self) -> None:
        self.discovery.tell("n", A, B)
        self.discovery.tell("m", B, C)
        self.client.servers("n")
        self.network.flush()
        open_to = [address for address in (A, B, C) if self.network.connections(address)]
        self.assertEqual(open_to, [A, B])
        self.client.servers("m")
        self.network.flush()
        self.assertEqual(len(self.network.connections(B)), 1)
        self.discovery.tell("n")
        self.network.advance(2)
        open_to = [address for address in (A, B, C) if self.network.connections(address)]
        self.assertEqual(open_to, [B, C])

    def test_a_server_that_leaves_is_not_chosen_and_finishes_its_calls(self) -> None:
        self.connect(A, B)
        call = self.client.call("n", "wait", grouping="first")
        self.network.flush()
        self.discovery.tell("n", B)
        self.assertEqual(self.result(self.client.call("n", "where", grouping="first")), B)
        self.network.advance(3)
        self.assertTrue(self.network.connections(A))
        self.waiting[0].callback("done")
        self.assertEqual(self.result(call), "done")
        self.network.advance(1)
        self.network.advance(1)
        self.assertFalse(self.network.connections(A))

    def test_a_server_that_leaves_and_returns_keeps_its_connection(self) -> None:
        self.connect(A)
        call = self.client.call("n", "wait")
        self.network.flush()
        [before] = self.network.connections(A)
        self.discovery.tell("n")
        self.discovery.tell("n", A)
        self.network.advance(1)
        self.assertEqual(self.network.connections(A), [before])
        self.waiting[0].callback(1)
        self.assertEqual(self.result(call), 1)

    # Options and ends

    def test_the_narrowest_option_wins(self) -> None:
        client = self.cluster(grouping="all", grouping_results="map")
        self.discovery.tell("n", A, B)
        client.servers("n")
        self.network.flush()
        self.assertEqual(self.result(client.call("n", "where")), {A: A, B: B})
        vector = client.function("n/where", grouping_results="vector")
        self.assertEqual(self.result(vector()), [A, B])
        self.assertEqual(self.result(vector.with_options(grouping="first", grouping_results="single")()), A)

    def test_wrong_options_are_refused_when_the_client_is_made_or_the_call(self) -> None:
        wrong: list[dict[str, Any]] = [
            {"grouping": "rnadom"},
            {"grouping_results": "list"},
            {"grouping_exceptions": "some"},
        ]
        for options in wrong:
            self.assertRaises(ConfigurationError, self.cluster, **options)
            self.failure(self.client.call("n", "where", **options), ConfigurationError)
        self.assertRaises(ConfigurationError, self.cluster, timeout=0)
        self.assertRaises(ConfigurationError, self.cluster, content_type="xml")
        self.failure(self.client.call("a/b", "where"), ConfigurationError)

    def test_after_closing_calls_fail_and_so_do_those_that_waited(self) -> None:
        self.connect(A)
        sent = self.client.call("n", "wait")
        self.network.flush()
        waiting = self.client.call("m", "where")
        closed = self.client.close()
        self.failure(sent, ConnectionLost)
        self.failure(waiting, NotSent)
        self.assertIsNone(self.result(closed))
        self.failure(self.client.call("n", "where"), NotSent)
        self.assertFalse(self.discovery.running)
        self.assertIsNone(self.result(self.client.close()))

    def test_a_list_of_addresses_is_a_cluster_too(self) -> None:
        client = self.cluster(discovery=StaticDiscovery([A, B]))
        self.assertIn(self.result(client.call("n", "where")), [A, B])
        every = client.function("n/where", grouping="all", grouping_results="map")
        self.assertEqual(self.result(every()), {A: A, B: B})
