"""A cluster client among servers in memory, told by hand which of them there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from slacker.cluster import routes
from slacker.cluster.client import ClusterClient
from slacker.cluster.discovery import IDiscovery, NamespaceView
from slacker.content.values import Keyword
from slacker.errors import (
    BacklogOverflow,
    CallTimeout,
    ClusterError,
    ConfigurationError,
    ConnectionLost,
    ContentError,
    NotSent,
    RemoteError,
    ServerBusy,
    Unavailable,
)
from slacker.interceptors import Interceptor, with_extensions
from slacker.server import SlackerServer, current_call, nonblocking
from slacker.testing import Network

A, B, C = "10.0.0.1:2104", "10.0.0.2:2104", "10.0.0.3:2104"


@implementer(IDiscovery)
class ToldDiscovery:
    """Knows what a test tells it."""

    def __init__(self) -> None:
        self.views: dict[str, NamespaceView] = {}
        self.running = False
        self.data: dict[str, Any] = {}
        self.followed: list[str] = []
        self._callback: Callable[[NamespaceView], None] = lambda _: None
        self._data_callbacks: list[Callable[[str, Any], object]] = []

    def start(self) -> None:
        self.running = True

    def stop(self) -> Deferred[None]:
        self.running = False
        return succeed(None)

    def view(self, namespace: str) -> NamespaceView:
        return self.views.setdefault(namespace, NamespaceView(namespace))

    def server_data(self, address: str) -> Any:
        self.followed.append(address)
        return self.data.get(address)

    def subscribe_data(self, callback: Callable[[str, Any], object]) -> None:
        self._data_callbacks.append(callback)

    def functions(self, prefix: str) -> Deferred[list[str]]:
        return succeed([name for name in ["n/where", "m/where"] if name.startswith(prefix)])

    def meta(self, name: str) -> Deferred[dict[Any, Any]]:
        return Deferred() if name == "n/unanswered" else succeed({"name": name})

    def tell_data(self, address: str, data: Any) -> None:
        self.data[address] = data
        for callback in self._data_callbacks:
            callback(address, data)

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

    def test_least_in_flight_goes_where_the_fewest_calls_are(self) -> None:
        self.connect(A, B, C)
        wait = self.client.function("n/wait", grouping="least-in-flight")
        calls = [wait() for _ in range(7)]
        self.network.flush()
        in_flight = [self.servers[address].calls_running for address in (A, B, C)]
        self.assertEqual(sorted(in_flight), [2, 2, 3])
        for deferred in self.waiting:
            deferred.callback(None)
        for call in calls:
            self.result(call)
        busy = self.client.call("n", "wait", grouping="first")  # counted, too
        for _ in range(10):
            self.assertNotEqual(self.result(self.client.call("n", "where", grouping="least-in-flight")), A)
        self.network.cut(A)
        self.failure(busy, ConnectionLost)

    def test_weighted_follows_what_the_servers_say_of_themselves(self) -> None:
        self.connect(A, B)
        self.discovery.tell_data(A, {Keyword("weight"): 0})
        weighted = self.client.function("n/where", grouping="weighted")
        self.assertEqual({self.result(weighted()) for _ in range(20)}, {B})
        self.discovery.tell_data(A, {Keyword("weight"): 1})
        self.discovery.tell_data(B, {Keyword("weight"): 0})
        self.assertEqual({self.result(weighted()) for _ in range(20)}, {A})

    # The leader

    def test_a_call_of_the_leader_goes_to_it_and_to_no_other(self) -> None:
        self.connect(A, B, leader=B)
        leader = self.client.function("n/where", grouping="leader")
        self.assertEqual({self.result(leader()) for _ in range(10)}, {B})
        self.servers[B].draining = True
        self.failure(leader(), ServerBusy)

    def test_it_waits_for_a_leader_within_its_timeout(self) -> None:
        self.connect(A, B)
        call = self.client.call("n", "where", grouping="leader", timeout=5.0)
        self.network.advance(1)
        self.assertNoResult(call)
        self.discovery.tell("n", A, B, leader=A)
        self.assertEqual(self.result(call), A)

    def test_it_waits_also_for_a_namespace_that_nobody_has_yet(self) -> None:
        self.discovery.tell("n")
        call = self.client.call("n", "where", grouping="leader")
        self.network.advance(1)
        self.assertNoResult(call)
        self.discovery.tell("n", B, leader=B)
        self.assertEqual(self.result(call), B)

    def test_without_a_leader_in_time_it_is_unavailable_and_says_who_is_missing(self) -> None:
        self.connect(A, B)
        call = self.client.call("n", "where", grouping="leader", timeout=2.0)
        self.network.advance(2)
        self.assertIn("none of them leads", str(self.failure(call, Unavailable)))
        self.connect(A, B, leader=B)
        self.network.refuse(B)
        call = self.client.call("n", "where", grouping="leader", timeout=2.0)
        self.network.advance(2)
        self.assertIn(f"the leader, {B}, is not connected", str(self.failure(call, Unavailable)))

    # Functions that choose

    def test_a_function_may_return_a_policy_an_address_or_several(self) -> None:
        self.connect(A, B, C, leader=B)
        seen: list[Any] = []

        def choose(*given: Any) -> Any:
            seen.append(given)
            return choice

        call = self.client.function("n/where", grouping=choose)
        choices: list[tuple[Any, Any]] = [
            ("leader", B),
            (C, C),
            (succeed(C), C),
            ([C, A], C),
            ((A,), A),
            ("all", A),
            (succeed("first"), B),
        ]
        for choice, answer in choices:  # noqa: B007  choose() reads it
            self.assertEqual(self.result(call()), answer)
        self.assertEqual(seen[0], ("n", "where", [], self.client, [A, B, C]))

    def test_several_addresses_are_merged(self) -> None:
        self.connect(A, B, C)
        call = self.client.call("n", "where", grouping=lambda *_: [C, A], grouping_results="map")
        self.assertEqual(self.result(call), {A: A, C: C})

    def test_what_is_no_choice_is_refused(self) -> None:
        self.connect(A)
        wrong: list[Any] = ["rnadom", 3, None, [3], {"a": 1}]
        for choice in wrong:
            call = self.client.call("n", "where", grouping=lambda *_: choice)  # noqa: B023
            self.assertIn("grouping function of n/where", str(self.failure(call, ConfigurationError)))

    def test_an_address_that_is_not_connected_or_none_at_all_is_unavailable(self) -> None:
        self.connect(A)
        choices: list[Any] = [B, [A, B], [], "10.9.9.9:1"]
        for choice in choices:
            call = self.client.function("n/where", grouping=lambda *_: choice)  # noqa: B023
            self.failure(call(), Unavailable)
            self.assertEqual(self.result(call.with_options(unavailable_value=0)()), 0)

    def test_a_named_address_is_not_replaced_by_another(self) -> None:
        self.connect(A, B)
        self.servers[A].draining = True
        self.failure(self.client.call("n", "where", grouping=lambda *_: A), ServerBusy)

    def test_a_function_that_raises_fails_the_call(self) -> None:
        self.connect(A)

        def choose(*_: Any) -> Any:
            raise KeyError("no")

        self.failure(self.client.call("n", "where", grouping=choose), KeyError)

    def test_functions_reduce_and_decide_what_is_a_failure(self) -> None:
        self.connect(A, B, C)
        call = self.client.function("n/fails-on", grouping="all", grouping_results=lambda *_: len)
        self.assertEqual(self.result(call([B])), 2)
        strict = call.with_options(grouping_exceptions=lambda valid, failed: len(failed) > 1)
        self.assertEqual(self.result(strict([B])), 2)
        self.failure(strict([A, B]), ClusterError)
        strictest = self.client.function("n/where", grouping_exceptions=lambda valid, failed: True)
        self.failure(strictest(), ClusterError)
        self.failure(strictest.with_options(grouping_results="vector")(), ClusterError)
        wrong = call.with_options(grouping_results=lambda *_: "list")
        self.failure(wrong([]), ConfigurationError)

    # Calls that may run twice

    def test_a_lost_call_is_made_again_where_the_caller_allows_it(self) -> None:
        self.connect(A, B)
        call = self.client.call("n", "wait", grouping="first", retries=1)
        self.network.flush()
        self.network.refuse(A)
        self.network.flush()
        self.assertEqual(len(self.waiting), 2)
        self.waiting[1].callback("again")
        self.assertEqual(self.result(call), "again")

    def test_a_call_that_is_made_again_has_what_is_left_of_its_time(self) -> None:
        self.connect(A, B)
        call = self.client.call("n", "wait", grouping="first", retries=1, timeout=5.0)
        self.network.advance(3)
        self.network.refuse(A)
        self.network.flush()
        self.assertEqual(len(self.waiting), 2)
        self.network.advance(1.9)
        self.assertNoResult(call)
        self.network.advance(0.2)
        self.failure(call, CallTimeout)

    def test_no_more_often_than_allowed(self) -> None:
        self.connect(A, B, C)
        call = self.client.call("n", "wait", grouping="first", retries=1)
        for address in (A, B):
            self.network.flush()
            self.network.refuse(address)
        self.failure(call, ConnectionLost)
        self.assertEqual(len(self.waiting), 2)

    def test_where_nobody_else_is_left_it_waits_for_the_server_to_come_back(self) -> None:
        self.connect(A)
        call = self.client.call("n", "wait", retries=1)
        self.network.flush()
        self.network.refuse(A)
        self.start(A)
        self.network.advance(1)
        self.assertEqual(len(self.waiting), 2)
        self.waiting[1].callback("again")
        self.assertEqual(self.result(call), "again")

    def test_its_answer_is_merged_once(self) -> None:
        self.connect(A)
        call = self.client.call("n", "wait", retries=1, grouping_results="map")
        self.network.flush()
        self.network.refuse(A)
        self.start(A)
        self.network.advance(1)
        self.waiting[1].callback("again")
        self.assertEqual(self.result(call), {A: "again"})

    def test_a_server_that_does_not_take_the_lost_call_is_asked_once(self) -> None:
        asked: list[str] = []

        class Refuses(Interceptor):
            def pre(self, call: Any) -> None:
                asked.append(call.name)
                raise ServerBusy("no")

        self.network.serve(B, [nonblocking({"n": {"wait": Deferred}})], interceptors=[Refuses()])
        self.connect(A, B)
        call = self.client.call("n", "wait", grouping="first", retries=3)
        self.network.flush()
        self.network.refuse(A)
        self.failure(call, ConnectionLost)
        self.assertEqual(asked, ["n/wait"])

    def test_one_whose_client_takes_no_more_calls_neither(self) -> None:
        self.client = self.cluster(backlog=1)
        self.connect(A, B)
        blocking = self.client.call("n", "wait", grouping=lambda *_: B)
        call = self.client.call("n", "wait", grouping="first", retries=1)
        self.network.flush()
        self.network.refuse(A)
        self.failure(call, ConnectionLost)
        self.assertNoResult(blocking)
        blocking.addErrback(lambda _: None)

    def test_what_may_have_run_is_never_said_not_to_have_run(self) -> None:
        either: list[dict[str, Any]] = [{}, {"unavailable_value": "nobody"}]
        for options in either:
            self.connect(A)
            lost = self.client.call("n", "wait", retries=1, timeout=5.0, **options)
            self.network.flush()
            self.network.refuse(A)
            self.network.advance(5)
            self.failure(lost, ConnectionLost)
            self.start(A)
            self.network.advance(10)
        lost = self.client.call("n", "wait", retries=1)
        self.network.flush()
        self.network.refuse(A)
        self.network.flush()
        self.client.close()
        self.failure(lost, ConnectionLost)

    # Interceptors

    def test_interceptors_see_and_change_what_is_merged_and_what_comes_of_it(self) -> None:
        class Odd(Interceptor):
            def before_merge(self, call: Any, outcomes: Any) -> Any:
                return succeed([outcome for outcome in outcomes if outcome.address != B])

            def after_merge(self, call: Any, result: Any) -> Any:
                return (call.name, result)

        class Mend(Interceptor):
            def after_merge(self, call: Any, result: Any) -> Any:
                return "mended" if isinstance(result, ClusterError) else result

        client = self.cluster(interceptors=[Odd(), Mend()])
        self.discovery.tell("n", A, B, C)
        client.servers("n")
        self.network.flush()
        every = client.function("n/where", grouping="all", grouping_results="vector")
        self.assertEqual(self.result(every()), ("n/where", [A, C]))
        self.assertEqual(self.result(client.call("n", "where", grouping="first")), ("n/where", A))
        failing = client.call("n", "fails-on", [[A, B, C]], grouping="all")
        self.assertEqual(self.result(failing), ("n/fails-on", "mended"))

    def test_an_interceptor_may_make_a_result_a_failure(self) -> None:
        class Strict(Interceptor):
            def after_merge(self, call: Any, result: Any) -> Any:
                return ValueError("not good enough")

        client = self.cluster(interceptors=[Strict()])
        self.discovery.tell("n", A)
        self.failure(client.call("n", "where"), ValueError)

    def test_they_see_the_call_on_each_server_too_and_need_no_base_class(self) -> None:
        class Looks:
            def __init__(self) -> None:
                self.peers: list[str] = []

            def pre(self, call: Any) -> None:
                self.peers.append(call.peer)

            def after_merge(self, call: Any, result: Any) -> Any:
                return len(result)

        looks: Any = Looks()
        client = self.cluster(interceptors=[looks])
        self.discovery.tell("n", A, B)
        client.servers("n")
        self.network.flush()
        every = client.function("n/where", grouping="all", grouping_results="vector")
        self.assertEqual((self.result(every()), looks.peers), (2, [A, B]))

    def test_extensions_go_along_also_when_a_call_goes_elsewhere(self) -> None:
        seen: list[Any] = []
        look = nonblocking(lambda: seen.append(current_call().extensions))
        for address in (A, B):
            self.servers[address] = self.network.serve(address, [{"n": {"look": look}}])
        self.connect(A, B)
        self.servers[A].draining = True
        look_up = self.client.function("n/look", grouping="first")
        with with_extensions({16: "a"}):
            call = look_up()
        self.result(call)
        self.result(look_up.with_options(extensions={17: "b"})())
        self.assertEqual(seen, [{16: "a"}, {17: "b"}])
        self.assertIsNone(self.result(look_up.with_options(fire_and_forget=True)()))

    # What is known

    def test_the_status_tells_what_is_known_of_each_namespace(self) -> None:
        self.connect(A, B, leader=B)
        self.network.refuse(A)
        self.discovery.views["n"].confirmed_at = self.network.reactor.seconds()
        self.network.advance(3)
        status = self.client.status()["n"]
        self.assertEqual((status.servers, status.connected, status.leader), ((A, B), (B,), B))
        self.assertEqual(status.confirmed, 3.0)

    def test_changes_of_server_data_are_told(self) -> None:
        told: list[Any] = []
        client = self.cluster(on_server_data=lambda address, data: told.append((address, data)))
        self.discovery.tell_data(A, {"x": 1})
        self.assertEqual(told, [(A, {"x": 1})])
        self.assertEqual(client.server_data(A), {"x": 1})

    def test_they_are_followed_where_somebody_wants_to_hear_of_them(self) -> None:
        self.connect(A, B)
        self.assertEqual(self.discovery.followed, [])
        self.finish(self.client)
        self.client = self.cluster(on_server_data=lambda address, data: None)
        self.connect(A, B)
        self.connect(A, B, C)
        self.assertEqual(sorted(self.discovery.followed), [A, B, C])

    def test_functions_and_metadata_come_from_the_discovery(self) -> None:
        self.assertEqual(self.result(self.client.functions()), ["n/where", "m/where"])
        self.assertEqual(self.result(self.client.functions("n/")), ["n/where"])
        self.assertEqual(self.result(self.client.meta("n/where")), {"name": "n/where"})
        unanswered = self.client.meta("n/unanswered")
        self.network.advance(10)
        self.failure(unanswered, Unavailable)

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
        self.failureResultOf(call, CancelledError)
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

    def test_many_may_refuse_it(self) -> None:
        servers = [f"10.0.{number // 250}.{number % 250}:1" for number in range(500)]
        for address in servers:
            self.network.serve(address, [nonblocking({"n": {"wait": Deferred}})])
        self.client = self.cluster(backlog=1)
        self.discovery.tell("n", *servers)
        self.client.servers("n")
        for _ in range(100):
            self.network.advance(0.02)
        self.assertEqual(len(self.client.servers("n")), 500)
        everywhere = self.client.call("n", "wait", grouping="all")
        everywhere.addErrback(lambda _: None)
        self.failure(self.client.call("n", "wait"), BacklogOverflow)

    def test_nobody_else_is_asked_when_its_time_is_over(self) -> None:
        class Waits(Interceptor):
            asked: ClassVar[list[str]] = []

            def pre(self, call: Any) -> Any:
                self.asked.append(call.peer)
                return Deferred() if len(self.asked) == 1 else None

        self.client = self.cluster(interceptors=[Waits()])
        self.connect(A, B)
        call = self.client.call("n", "where", grouping="first", timeout=2.0)
        self.network.advance(2)
        error = self.failure(call, NotSent)
        self.assertIn("within 2.0 s", str(error))
        self.assertEqual((Waits.asked, self.calls), ([A], []))

    def test_arguments_that_fit_into_no_frame_are_offered_to_one_server_only(self) -> None:
        self.client = self.cluster(max_frame=1000)
        self.connect(A, B, C)
        error = self.failure(self.client.call("n", "where", ["x" * 1000]), ContentError)
        self.assertIn("arguments of n/where", str(error))

    def test_so_does_one_whose_result_is_a_map_and_its_error_stays_what_it_is(self) -> None:
        self.connect(A, B)
        self.servers[A].draining = True
        call = self.client.function("n/where", grouping="first", grouping_results="map")
        self.assertEqual(self.result(call()), {B: B})
        failing = self.client.function("n/fails-on", grouping="first", grouping_results="vector")
        self.failure(failing([B]), RemoteError)
        named = failing.with_options(grouping=lambda *_: B)
        self.failure(named([B]), RemoteError)
        self.assertEqual(self.result(named([])), [B])

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

    def test_who_waits_hears_at_once_that_nobody_has_the_namespace(self) -> None:
        call = self.client.call("n", "where")
        self.assertNoResult(call)
        self.discovery.view("n").confirm(None)
        self.failure(call, Unavailable)

    def test_a_namespace_without_servers_is_unavailable_at_once(self) -> None:
        self.discovery.tell("n")
        error = self.failure(self.client.call("n", "where"), Unavailable)
        self.assertEqual(error.function, "n/where")

    def test_servers_that_all_left_are_waited_for_unless_there_is_a_value_for_that(self) -> None:
        self.connect(A)
        self.discovery.tell("n")
        call = self.client.call("n", "where", timeout=5.0)
        gone = self.client.call("n", "where", timeout=1.0)
        self.assertEqual(self.result(self.client.call("n", "where", unavailable_value=0)), 0)
        self.network.advance(1)
        self.assertIn("all that had it have left", str(self.failure(gone, Unavailable)))
        self.discovery.tell("n", B)
        self.assertEqual(self.result(call), B)

    def test_the_unavailable_value_stands_for_the_error_even_if_it_is_none(self) -> None:
        self.discovery.tell("n")
        self.assertIsNone(self.result(self.client.call("n", "where", unavailable_value=None)))
        self.assertEqual(self.result(self.cluster(unavailable_value=7).call("n", "where")), 7)

    def test_no_more_calls_wait_than_may_for_one_server(self) -> None:
        self.client = self.cluster(backlog=2)
        waiting = [self.client.call("n", "where") for _ in range(2)]
        error = self.failure(self.client.call("n", "where"), BacklogOverflow)
        self.assertIn("2 calls wait for a server of n already", str(error))
        self.discovery.tell("n", A)
        self.assertEqual([self.result(call) for call in waiting], [A, A])

    def test_many_that_wait_are_woken_a_few_at_a_time(self) -> None:
        self.patch(routes, "_WOKEN_AT_ONCE", 3)
        waiting = [self.client.call("n", "where", unavailable_value="nobody") for _ in range(8)]
        waiting[4].addErrback(lambda _: None).cancel()
        self.discovery.tell("n")
        self.assertEqual([call.called for call in waiting], [True] * 3 + [False, True] + [False] * 3)
        self.network.advance(0)
        self.assertEqual([self.result(call) for call in waiting if call is not waiting[4]], ["nobody"] * 7)

    def test_one_that_is_woken_may_close_the_client(self) -> None:
        waiting = [self.client.call("n", "where") for _ in range(3)]
        waiting[0].addErrback(lambda _: self.client.close()).addErrback(lambda _: None)
        self.discovery.tell("n")
        for call in waiting[1:]:
            self.failureResultOf(call, Unavailable, NotSent)

    def test_all_of_them_hear_at_once_that_the_client_is_closed(self) -> None:
        self.patch(routes, "_WOKEN_AT_ONCE", 3)
        waiting = [self.client.call("n", "where") for _ in range(8)]
        self.client.close()
        for call in waiting:
            self.failureResultOf(call, NotSent)

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

    def test_of_many_a_further_one_counts_soon_and_one_that_breaks_counts_at_once_no_more(self) -> None:
        many = [f"10.1.0.{number}:2104" for number in range(100, 210)]
        for address in many:
            self.start(address)
        self.discovery.tell("n", *many)
        self.client.servers("n")
        for _ in range(20):
            self.network.advance(0.02)
        self.assertEqual(self.client.servers("n"), many)
        every = self.client.function("n/where", grouping="all", grouping_results="vector")
        self.discovery.tell("n", *many, A)
        self.result(every())  # it looks at the change while the further server is being connected
        self.assertNotIn(A, self.result(every()))
        self.network.refuse(many[0])
        self.assertEqual(set(self.result(every())), {*many[1:], A})
        self.start(many[0])
        self.network.advance(0.2)
        self.network.advance(0.05)
        self.assertEqual(set(self.result(every())), {*many, A})

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
        numbers: list[dict[str, Any]] = [{"retries": -1}, {"retries": "x"}, {"timeout": float("nan")}]
        for options in numbers:
            self.assertRaises(ConfigurationError, self.cluster, **options)
            self.failure(self.client.call("n", "where", **options), ConfigurationError)
        self.failure(self.client.call("n", "where", timeout=0), ConfigurationError)
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
        client = self.cluster(servers=[A, B])
        self.failure(client.functions(), ConfigurationError)
        self.failure(client.meta("n/where"), ConfigurationError)
        self.assertIn(self.result(client.call("n", "where")), [A, B])
        every = client.function("n/where", grouping="all", grouping_results="map")
        self.assertEqual(self.result(every()), {A: A, B: B})
