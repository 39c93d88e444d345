"""The client: states, results, watches, and what becomes of everything when the connection breaks."""

from __future__ import annotations

import threading
from typing import Any

from kazoo import exceptions
from kazoo.protocol.states import Callback, KeeperState, WatchedEvent
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from slacker.errors import ConfigurationError
from slacker.zookeeper import (
    EPHEMERAL,
    SEQUENCE,
    ZOO_OPEN_ACL_UNSAFE,
    Acl,
    AuthFailedException,
    BadArgumentsException,
    BadVersionException,
    ClientEvent,
    ClosingException,
    ConnectionLossException,
    ConnectionTimeoutException,
    EventType,
    InvalidStateException,
    NodeExistsException,
    NoNodeException,
    NotConnectedException,
    SessionExpiredException,
    State,
    TooManyRequestsException,
    ZookeeperClient,
    ZookeeperError,
)
from slacker.zookeeper import connection as connection_module
from slacker.zookeeper import requests as requests_module
from tests.zookeeper.fakes import install, result_of


class ClientCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = install(self)
        self.client = self.world.client()

    def tearDown(self) -> None:
        self.client.close()
        self.world.pump()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def result(self, deferred: Deferred[Any]) -> Any:
        return result_of(self, self.world, deferred)

    def fails(self, deferred: Deferred[Any], error: type[Exception]) -> str:
        self.world.pump()
        return str(self.failureResultOf(deferred, error).value)


class ConfigurationTests(SynchronousTestCase):
    def test_wrong_options_are_refused_before_anything_runs(self) -> None:
        for options in (
            {"servers": "zk1:port"},
            {"servers": ""},
            {"session_timeout": 0},
            {"connect_timeout": -1},
            {"session_timeout": float("nan")},
        ):
            with self.assertRaises(ConfigurationError, msg=str(options)):
                ZookeeperClient(reactor=install(self).clock, **options)


class OperationTests(ClientCase):
    def test_a_node_is_created_read_written_and_deleted(self) -> None:
        self.assertEqual(self.result(self.client.create("/a", b"one")), "/a")
        data, stat = self.result(self.client.get("/a"))
        self.assertEqual((data, stat.version, stat.ephemeralOwner), (b"one", 0, 0))
        self.assertEqual(self.result(self.client.set("/a", b"two", stat.version)).version, 1)
        self.assertEqual(self.result(self.client.get_children("/")), ["a"])
        self.assertEqual(self.result(self.client.sync("/a")), "/a")
        self.assertIsNone(self.result(self.client.delete("/a", 1)))
        self.assertIsNone(self.result(self.client.exists("/a")))

    def test_null_data_is_not_empty_data(self) -> None:
        self.result(self.client.create("/null", None))
        self.result(self.client.create("/empty"))
        self.assertEqual(self.result(self.client.get("/null"))[0], None)
        self.assertEqual(self.result(self.client.get("/empty"))[0], b"")

    def test_an_ephemeral_sequence_belongs_to_the_session_and_gets_a_number(self) -> None:
        path = self.result(self.client.create("/n-", flags=EPHEMERAL | SEQUENCE))
        self.assertRegex(path, r"^/n-\d{10}$")
        self.assertEqual(self.result(self.client.exists(path)).ephemeralOwner, self.client.session_id)

    def test_access_control_lists_go_as_dictionaries(self) -> None:
        self.result(self.client.create("/a"))
        self.assertEqual(self.result(self.client.get_acl("/a"))[0], [ZOO_OPEN_ACL_UNSAFE])
        only_read: Acl = {"perms": 1, "scheme": "world", "id": "anyone"}
        self.assertIsNone(self.result(self.client.set_acl("/a", [only_read])))
        self.assertEqual(self.result(self.client.get_acl("/a"))[0], [only_read])

    def test_zookeepers_errors_say_which_operation_on_which_path(self) -> None:
        self.result(self.client.create("/a/b"[:2]))
        for deferred, error, begin in (
            (self.client.get("/x"), NoNodeException, "get /x: "),
            (self.client.create("/a"), NodeExistsException, "create /a: "),
            (self.client.set("/a", b"", 7), BadVersionException, "set /a: "),
            (self.client.delete("/x"), NoNodeException, "delete /x: "),
        ):
            text = self.fails(deferred, error)
            self.assertTrue(text.startswith(begin), text)

    def test_an_error_without_a_class_of_its_own_keeps_its_code(self) -> None:
        self.world.refusing["/q"] = exceptions.QuotaExceededError
        self.assertIn("-125", self.fails(self.client.create("/q"), ZookeeperError))

    def test_an_argument_kazoo_refuses_is_our_error(self) -> None:
        def refusing(*_: object, **__: object) -> None:
            raise TypeError("Invalid type for 'acl'")

        self.patch(self.world.clients[0], "create_async", refusing)
        self.assertIn("Invalid type", self.fails(self.client.create("/a"), BadArgumentsException))

    def test_an_answer_that_is_no_error_of_zookeeper_is_our_error(self) -> None:
        self.world.refusing["/a"] = exceptions.SASLException
        self.assertIn("create /a: SASLException", self.fails(self.client.create("/a"), ZookeeperError))

    def test_what_zookeeper_would_refuse_does_not_leave(self) -> None:
        before = len(self.world.requests)
        for deferred in (
            self.client.create("a"),
            self.client.get("/a/"),
            self.client.create("/a", b"x" * 1_000_001),
            self.client.set("/a", "text"),  # type: ignore[arg-type]
        ):
            self.fails(deferred, BadArgumentsException)
        self.assertEqual(len(self.world.requests), before)

    def test_answers_and_events_come_in_zookeepers_order(self) -> None:
        seen: list[object] = []
        exists, created = self.client.exists_and_watch("/a")
        exists.addCallback(lambda stat: seen.append(("exists", stat)))
        created.addCallback(lambda event: seen.append(event.type))
        self.client.create("/a").addCallback(seen.append)
        self.client.get_children("/").addCallback(seen.append)
        self.world.pump()
        self.assertEqual(seen, [("exists", None), EventType.CREATED, "/a", ["a"]])


class WatchTests(ClientCase):
    def event(self, deferred: Deferred[ClientEvent]) -> EventType:
        self.world.pump()
        return self.successResultOf(deferred).type

    def test_a_pair_is_the_answer_and_one_event(self) -> None:
        children, changed = self.client.get_children_and_watch("/")
        self.assertEqual(self.result(children), [])
        self.assertNoResult(changed)
        self.world.put("/a")
        self.assertEqual(self.event(changed), EventType.CHILD)
        data, written = self.client.get_and_watch("/a")
        self.assertEqual(self.result(data)[0], b"")
        self.world.put("/a", b"new")
        self.world.put("/a", b"newer")
        self.assertEqual(self.event(written), EventType.CHANGED)

    def test_all_who_watch_a_path_get_the_event_of_the_one_watch(self) -> None:
        pairs = [self.client.exists_and_watch("/a") for _ in range(3)]
        self.world.pump()
        self.world.put("/a")
        for exists, created in pairs:
            self.assertIsNone(self.result(exists))
            self.assertEqual(self.event(created), EventType.CREATED)

    def test_a_read_under_way_does_not_get_the_event_of_an_earlier_watch(self) -> None:
        _, first = self.client.get_children_and_watch("/")
        self.world.pump()
        self.world.put("/a")
        read, second = self.client.get_children_and_watch("/")
        self.assertEqual(self.result(read), ["a"])
        self.assertEqual(self.event(first), EventType.CHILD)
        self.assertNoResult(second)
        self.world.put("/b")
        self.assertEqual(self.event(second), EventType.CHILD)

    def test_an_event_that_kazoo_has_before_its_call_returns_comes_after_the_answer(self) -> None:
        kazoo = self.world.clients[0]

        def get_children_async(path: str, watch: Any) -> Any:
            result = kazoo.handler.async_result()

            def answer_and_event() -> None:
                result.set([])
                event = WatchedEvent("CHILD", "CONNECTED", path)
                kazoo.handler.dispatch_callback(Callback("watch", watch, (event,)))

            thread = threading.Thread(target=answer_and_event)
            threads.append(thread)
            thread.start()
            thread.join(0.1)  # it has both now, and nothing is linked to the result yet
            return result

        threads: list[threading.Thread] = []
        self.patch(kazoo, "get_children_async", get_children_async)
        children, changed = self.client.get_children_and_watch("/")
        threads[0].join()
        self.assertEqual(self.result(children), [])
        self.assertEqual(self.event(changed), EventType.CHILD)

    def test_a_read_that_fails_ends_its_watch_without_an_error(self) -> None:
        children, changed = self.client.get_children_and_watch("/x")
        self.fails(children, NoNodeException)
        self.assertEqual(self.event(changed), EventType.NOTWATCHING)

    def test_a_lost_connection_ends_watches_with_a_session_event(self) -> None:
        _, created = self.client.exists_and_watch("/a")
        self.world.pump()
        self.world.clients[0].suspend()
        self.world.pump()
        event = self.successResultOf(created)
        self.assertEqual((event.type, event.path, event.type_name), (EventType.SESSION, "/a", "session"))

    def test_a_cancelled_watch_is_over_and_disturbs_no_other(self) -> None:
        _, first = self.client.exists_and_watch("/a")
        _, second = self.client.exists_and_watch("/a")
        self.world.pump()
        first.cancel()
        self.assertEqual(self.event(first), EventType.NOTWATCHING)
        self.world.put("/a")
        self.assertEqual(self.event(second), EventType.CREATED)

    def test_there_is_a_limit_to_watches(self) -> None:
        self.patch(requests_module, "_MAX_WATCHES", 2)
        for _ in range(2):
            self.client.exists_and_watch("/a")
        exists, created = self.client.exists_and_watch("/a")
        self.fails(exists, TooManyRequestsException)
        self.assertEqual(self.event(created), EventType.NOTWATCHING)


class SessionTests(ClientCase):
    def setUp(self) -> None:
        super().setUp()
        self.states: list[State] = []
        self.client.add_listener(self.states.append)

    def test_a_broken_connection_shows_in_order_and_keeps_the_session(self) -> None:
        session = self.client.session_id
        self.world.clients[0].suspend()
        self.world.pump()
        self.assertEqual(self.states, [State.CONNECTING, State.CONNECTED])
        self.assertEqual(self.client.session_id, session)

    def test_an_expired_session_is_followed_by_another(self) -> None:
        session = self.client.session_id
        self.world.clients[0].expire()
        self.world.pump()
        self.assertEqual(self.states, [State.CONNECTING, State.EXPIRED, State.CONNECTED])
        self.assertNotEqual(self.client.session_id, session)

    def test_without_a_connection_requests_fail_at_once(self) -> None:
        self.world.reachable = False
        self.world.clients[0].suspend()
        self.world.pump()
        text = str(self.failureResultOf(self.client.get("/a"), NotConnectedException).value)
        self.assertIn("get /a: not connected to ZooKeeper at 127.0.0.1:2181", text)
        self.assertIsNone(self.client.servers)

    def test_requests_in_flight_may_have_been_carried_out_and_waiting_ones_were_not(self) -> None:
        requests = [self.client.create(f"/n{number}") for number in range(100)]
        self.world.clients[0].suspend()
        self.world.pump()
        for sent in requests[:64]:
            self.failureResultOf(sent, ConnectionLossException)
        for waiting in requests[64:]:
            self.failureResultOf(waiting, NotConnectedException)

    def test_a_request_kazoo_kept_over_the_break_still_fires_once(self) -> None:
        self.world.reachable = False
        self.world.clients[0].suspend()  # kazoo knows; the client does not yet
        late = self.client.create("/late")
        self.world.pump()
        self.failureResultOf(late, ConnectionLossException)
        self.world.reachable = True
        self.world.pump()
        self.assertIn("/late", self.world.paths())

    def test_a_session_that_expires_fails_what_is_in_flight(self) -> None:
        self.world.answers_lost = True
        request = self.client.create("/a")
        self.world.pump()
        self.world.clients[0].lose(KeeperState.EXPIRED_SESSION)
        self.fails(request, SessionExpiredException)

    def test_requests_wait_in_a_queue_that_has_an_end(self) -> None:
        requests = [self.client.exists("/a") for _ in range(10_065)]
        self.failureResultOf(requests.pop(), TooManyRequestsException)
        self.world.pump()
        for request in requests:
            self.assertIsNone(self.successResultOf(request))

    def test_a_cancelled_request_that_waited_does_not_leave(self) -> None:
        requests = [self.client.create(f"/n{number}") for number in range(66)]
        requests[65].cancel()
        self.failureResultOf(requests[65])
        self.world.pump()
        self.assertEqual(len(self.world.paths()), 66)
        self.assertEqual(self.successResultOf(requests[64]), "/n64")

    def test_a_listener_that_raises_hides_nothing_from_the_others(self) -> None:
        later: list[State] = []

        def broken(state: State) -> None:
            raise ValueError("broken")

        self.client.add_listener(broken)
        self.client.add_listener(later.append)
        self.world.clients[0].suspend()
        self.world.pump()
        self.assertEqual(later, [State.CONNECTING, State.CONNECTED])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)
        self.client.remove_listener(broken)
        self.client.remove_listener(broken)

    def test_txzookeepers_session_callback_gets_events(self) -> None:
        seen: list[tuple[object, str, str]] = []
        self.client.set_session_callback(lambda c, e: seen.append((c, e.type_name, e.state_name)))
        self.world.clients[0].expire()
        self.world.pump()
        states = ["connecting", "expired", "connected"]
        self.assertEqual(seen, [(self.client, "session", state) for state in states])

    def test_txzookeepers_connection_error_callback_decides_the_result(self) -> None:
        self.client.set_connection_error_callback(lambda client, error: succeed(f"handled {error}"))
        request = self.client.get("/a")
        self.world.clients[0].suspend()
        self.assertIn("handled get /a: ", self.result(request))

    def test_when_kazoos_thread_dies_another_is_started(self) -> None:
        first = self.world.clients[0]
        first.lose(KeeperState.CLOSED)
        self.world.pump()
        self.assertEqual(self.states, [State.EXPIRED])
        self.assertTrue(first.stopped)
        self.world.advance(1.0)
        self.assertEqual(self.states, [State.EXPIRED, State.CONNECTED])
        self.assertIsNone(self.result(self.client.exists("/a")))

    def test_after_ten_minutes_without_a_connection_the_session_is_given_up(self) -> None:
        self.world.reachable = False
        self.world.clients[0].suspend()
        self.world.advance(599)
        self.assertIsNotNone(self.client.session_id)
        self.world.advance(2)
        self.assertEqual(self.states, [State.CONNECTING, State.EXPIRED])
        self.assertIsNone(self.client.session_id)
        self.world.reachable = True
        self.world.pump()
        self.assertEqual(self.states[2:], [State.CONNECTED])
        self.assertIsNone(self.result(self.client.exists("/a")))

    def test_refused_credentials_fail_every_request(self) -> None:
        before = self.client.get("/a")
        self.world.clients[0].lose(KeeperState.AUTH_FAILED)
        self.fails(before, AuthFailedException)
        self.assertEqual(self.states, [State.AUTH_FAILED])
        self.failureResultOf(self.client.get("/a"), AuthFailedException)

    def test_an_identity_is_given_alone_and_again_to_the_next_connection(self) -> None:
        before = self.client.exists("/a")
        added = self.client.add_auth("digest", "mary:apples")
        after = self.client.exists("/b")
        self.assertIs(self.result(added), self.client)
        self.assertIsNone(self.result(before))
        self.assertIsNone(self.result(after))
        self.assertEqual([what for what, _ in self.world.requests], ["exists", "add_auth", "exists"])
        self.world.clients[0].lose(KeeperState.CLOSED)
        self.world.advance(1.05)
        self.assertEqual(self.world.clients[0].auth_data, {("digest", "mary:apples")})

    def test_a_refused_identity_is_not_offered_again(self) -> None:
        self.world.refusing["digest"] = exceptions.AuthFailedError
        self.fails(self.client.add_auth("digest", "mary:pears"), AuthFailedException)
        self.world.clients[0].lose(KeeperState.CLOSED)
        self.world.advance(1.05)
        self.assertEqual(self.world.clients[0].auth_data, set())


class ConnectTests(ClientCase):
    def setUp(self) -> None:
        self.world = install(self)
        self.world.reachable = False
        self.client = ZookeeperClient("zk1:1,zk2:2/chroot", connect_timeout=3.0, reactor=self.world.clock)

    def test_connecting_fires_with_the_client(self) -> None:
        self.world.reachable = True
        connecting = self.client.connect()
        self.assertNoResult(connecting)
        self.assertIs(self.result(connecting), self.client)
        self.assertEqual(self.client.servers, "zk1:1,zk2:2/chroot")
        self.assertEqual(self.client.state, State.CONNECTED)

    def test_when_the_time_is_over_it_fails_and_goes_on_trying(self) -> None:
        connecting = self.client.connect()
        self.world.clock.advance(3.0)
        self.assertIn("zk1:1,zk2:2/chroot", self.fails(connecting, ConnectionTimeoutException))
        self.assertFalse(self.client.connected)
        self.world.reachable = True
        self.world.pump()
        self.assertTrue(self.client.connected)

    def test_refused_credentials_fail_the_connect(self) -> None:
        connecting = self.client.connect()
        self.failureResultOf(self.client.add_auth("digest", "mary:apples"), NotConnectedException)
        self.world.clients[0].lose(KeeperState.AUTH_FAILED)
        self.fails(connecting, AuthFailedException)

    def test_a_cancelled_connect_goes_on_trying(self) -> None:
        connecting = self.client.connect(timeout=1.0)
        connecting.cancel()
        self.failureResultOf(connecting)
        self.world.reachable = True
        self.world.pump()
        self.assertTrue(self.client.connected)

    def test_connecting_twice_is_refused(self) -> None:
        self.client.connect().addErrback(lambda failure: failure.trap(ClosingException))
        self.fails(self.client.connect(), InvalidStateException)

    def test_other_servers_and_a_known_session_can_be_named(self) -> None:
        self.world.reachable = True
        self.result(self.client.connect("zk9", client_id=(77, b"secret")))
        self.assertEqual((self.client.servers, self.client.session_id), ("zk9:2181", 77))
        with self.assertRaises(ConfigurationError):
            self.client.connect("zk9:port")

    def test_closing_while_connecting_fires_everything_once(self) -> None:
        connecting = self.client.connect()
        closing = self.client.close()
        self.fails(connecting, ClosingException)
        self.assertIsNone(self.result(closing))
        self.assertEqual(self.world.clients, [])

    def test_a_client_never_connected_is_closed_at_once(self) -> None:
        self.assertIsNone(self.successResultOf(self.client.close()))
        self.assertIsNone(self.client.session_timeout)
        self.assertIsNone(self.client.local_host)
        self.assertIsNone(self.client.peer_host)
        self.assertIsNone(self.client.seconds_since_contact)
        self.assertIsNone(self.client.client_id)


class AccessTests(ClientCase):
    """What becomes of credentials; a test says what ZooKeeper thinks of them."""

    def setUp(self) -> None:
        self.world = install(self)
        self.states: list[State] = []
        self.client = self.new_client(auth="sasl:mary:apples")

    def new_client(self, **options: Any) -> ZookeeperClient:
        client = ZookeeperClient("zk1:1/chroot", reactor=self.world.clock, **options)
        client.add_listener(self.states.append)
        return client

    def drop(self) -> None:
        """The connection breaks while ZooKeeper looks at the credentials, as kazoo tells it."""
        try:
            raise exceptions.AuthFailedError from exceptions.ConnectionDropped()
        except exceptions.AuthFailedError:
            self.world.clients[0].lose(KeeperState.AUTH_FAILED)

    def until_looked_at(self) -> None:
        """kazoo says that it is connected; the answer to the credentials is still under way."""
        self.world.pump_until(lambda: bool(self.world.clients and self.world.clients[0].queued))
        self.assertEqual(self.client.state, self.states[-1] if self.states else State.CONNECTING)

    def test_it_is_connected_when_an_answer_has_come_after_the_credentials(self) -> None:
        connecting = self.client.connect()
        self.until_looked_at()
        self.assertNoResult(connecting)
        self.failureResultOf(self.client.exists("/a"), NotConnectedException)
        self.assertIs(self.result(connecting), self.client)
        self.assertEqual(self.states, [State.CONNECTED])
        self.assertEqual(self.world.clients[0].sasl_options["username"], "mary")  # type: ignore[index]

    def test_an_answer_of_no_permission_is_an_answer(self) -> None:
        self.world.refusing["/"] = exceptions.NoAuthError
        self.assertIs(self.result(self.client.connect()), self.client)

    def test_a_line_that_breaks_before_that_answer_was_never_connected(self) -> None:
        connecting = self.client.connect()
        self.until_looked_at()
        self.world.clients[0].suspend()
        self.assertIs(self.result(connecting), self.client)
        self.assertEqual(self.states, [State.CONNECTED])

    def test_refused_credentials_fail_the_connect_and_are_tried_again(self) -> None:
        connecting = self.client.connect()
        self.until_looked_at()
        self.world.clients[0].lose(KeeperState.AUTH_FAILED)
        self.assertIn("refused the credentials", self.fails(connecting, AuthFailedException))
        self.assertIn("refuses", self.fails(self.client.exists("/a"), AuthFailedException))
        self.assertEqual((self.states, self.world.clients), ([State.AUTH_FAILED], []))
        self.world.clock.advance(30)
        self.until_looked_at()
        self.world.clients[0].lose(KeeperState.AUTH_FAILED)
        self.world.pump()
        self.assertEqual(self.states, [State.AUTH_FAILED])
        self.world.advance(30.05)
        self.assertEqual(self.states, [State.AUTH_FAILED, State.CONNECTED])
        self.assertIsNone(self.result(self.client.exists("/a")))

    def test_a_line_that_breaks_over_the_credentials_keeps_the_session(self) -> None:
        self.result(self.client.connect())
        session = self.client.session_id
        for _ in range(5):
            self.world.clients[0].suspend()
            self.until_looked_at()
            self.drop()
            self.world.pump()
            self.world.advance(1.05)
            self.assertEqual((self.client.state, self.client.session_id), (State.CONNECTED, session))
        self.assertEqual(set(self.states), {State.CONNECTING, State.CONNECTED})

    def test_a_server_that_breaks_the_line_each_time_does_not_know_sasl(self) -> None:
        connecting = self.client.connect()
        for _ in range(3):
            self.assertNoResult(connecting)
            self.until_looked_at()
            self.drop()
            self.world.pump()
            self.world.clock.advance(1)
        self.assertIn("not set up for it", self.fails(connecting, AuthFailedException))

    def test_a_server_that_wants_sasl_says_so_to_others(self) -> None:
        self.client = self.new_client(auth="digest:mary:apples")
        self.world.refusing["/"] = exceptions.SessionClosedRequireSaslError
        self.assertIn("sasl:USER:PASSWORD", self.fails(self.client.connect(), AuthFailedException))

    def test_a_listener_may_close_a_client_that_is_refused(self) -> None:
        def close(state: State) -> None:
            if state is State.AUTH_FAILED:
                self.client.close()

        self.client.add_listener(close)
        self.client.connect().addErrback(lambda failure: failure.trap(ClosingException))
        self.until_looked_at()
        self.world.clients[0].lose(KeeperState.AUTH_FAILED)
        self.world.pump()
        self.assertEqual(self.states[-1], State.CLOSED)

    def test_watches_of_a_connection_that_is_given_up_fire(self) -> None:
        self.result(self.client.connect())
        _, event = self.client.exists_and_watch("/a")
        self.world.pump()
        self.world.clients[0].lose(KeeperState.CLOSED)
        self.world.pump()
        self.assertEqual(self.successResultOf(event).type, EventType.SESSION)

    def test_nodes_are_created_with_the_clients_list_unless_told_otherwise(self) -> None:
        self.client = self.new_client(auth="digest:mary:apples", acl="creator,world:anyone:r")
        self.result(self.client.connect())
        self.result(self.client.create_chroot())
        self.result(self.client.create("/a"))
        self.result(self.client.create("/e", flags=EPHEMERAL))
        self.result(self.client.create("/open", acls=[ZOO_OPEN_ACL_UNSAFE]))
        lists = {path: [acl.id.scheme for acl in self.world.nodes[path].acls] for path in self.world.paths()}
        self.assertEqual(lists.pop("/"), ["world"])
        self.assertEqual(lists.pop("/chroot/open"), ["world"])
        self.assertEqual(set(lists), {"/chroot", "/chroot/a", "/chroot/e"})
        self.assertEqual(list(lists.values()), [["auth", "world"]] * 3)

    def test_a_chroot_is_made_from_below_by_whoever_may(self) -> None:
        self.client = ZookeeperClient("zk1:1/x/y/z", reactor=self.world.clock)
        self.fails(self.client.create_chroot(), NotConnectedException)
        self.result(self.client.connect())
        self.world.put("/x")
        self.world.refusing["/x"] = exceptions.NoAuthError
        self.result(self.client.create_chroot())
        self.result(self.client.create_chroot())
        self.assertEqual(self.world.paths(), ["/", "/x", "/x/y", "/x/y/z"])
        self.assertEqual(self.result(self.client.create("/n-", flags=SEQUENCE))[:3], "/n-")
        self.assertEqual(self.result(self.client.sync()), "/")

    def test_a_chroot_that_somebody_keeps_deleting_is_given_up(self) -> None:
        self.client = ZookeeperClient("zk1:1/x/y", reactor=self.world.clock)
        self.result(self.client.connect())
        self.world.refusing["/x/y"] = exceptions.NoNodeError
        self.fails(self.client.create_chroot(), NoNodeException)

    def test_sasl_is_no_matter_of_add_auth(self) -> None:
        self.assertIn(
            "comes with", self.fails(self.client.add_auth("sasl", "mary:apples"), BadArgumentsException)
        )


class Stuck:
    """``threading`` for the session: a thread that never gets anywhere."""

    class Thread:
        def __init__(self, **_: object) -> None:
            """It never runs."""

        def start(self) -> None:
            """It never runs."""


class CloseTests(ClientCase):
    def test_closing_ends_the_session_and_fires_everything_once(self) -> None:
        states: list[State] = []
        self.client.add_listener(states.append)
        self.result(self.client.create("/e", flags=EPHEMERAL))
        _, created = self.client.exists_and_watch("/a")
        self.world.pump()
        sent = self.client.get("/e")
        closing = self.client.close()
        again = self.client.close()
        self.fails(sent, ClosingException)
        event = self.successResultOf(created)
        self.assertEqual((event.type, event.connection_state), (EventType.SESSION, State.CLOSED))
        self.assertIsNone(self.result(closing))
        self.assertIsNone(self.result(again))
        self.assertEqual(states, [State.CLOSED])
        self.assertEqual(self.world.paths(), ["/"])
        self.failureResultOf(self.client.get("/e"), NotConnectedException)

    def test_a_closed_client_can_connect_again(self) -> None:
        self.result(self.client.close())
        self.assertIs(self.result(self.client.connect()), self.client)
        self.assertEqual(self.result(self.client.create("/a")), "/a")

    def test_a_listener_may_close_the_client(self) -> None:
        states: list[State] = []

        def close(state: State) -> None:
            if state is State.CONNECTING:
                self.client.close()

        self.client.add_listener(close)
        self.client.add_listener(states.append)
        self.world.clients[0].suspend()
        self.world.pump()
        self.assertEqual(states[-1], State.CLOSED)
        self.assertNotIn(State.CONNECTED, states)

    def test_closing_before_kazoo_is_started_again_starts_nothing(self) -> None:
        self.world.clients[0].lose(KeeperState.CLOSED)
        self.world.pump()
        self.assertIsNone(self.result(self.client.close()))
        self.assertEqual(self.world.clients, [])

    def test_closing_waits_for_the_thread_that_was_given_up_before(self) -> None:
        self.patch(connection_module, "threading", Stuck)
        self.world.clients[0].lose(KeeperState.CLOSED)
        self.world.pump()
        closing = self.client.close()
        self.world.pump()
        self.assertNoResult(closing)
        self.world.clock.advance(4.0)
        self.assertIsNone(self.successResultOf(closing))

    def test_an_error_of_kazoo_at_the_end_is_the_end_all_the_same(self) -> None:
        def broken() -> None:
            raise exceptions.WriterNotClosedException("it goes on")

        self.patch(self.world.clients[0], "stop", broken)
        self.assertIsNone(self.result(self.client.close()))

    def test_a_thread_that_does_not_end_is_cut_off_and_then_left_alone(self) -> None:
        self.patch(connection_module, "threading", Stuck)
        closing = self.client.close()
        self.fails(self.client.connect(), InvalidStateException)
        self.world.clock.advance(3.9)
        self.assertNoResult(closing)
        self.world.clock.advance(0.1)
        self.assertIsNone(self.successResultOf(closing))
