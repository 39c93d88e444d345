"""The service: its clock, its limits, its ports."""

from __future__ import annotations

from twisted.application.service import IService, MultiService
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from slacker.errors import ZookeeperError
from slacker.zookeeper.embedded import EmbeddedZooKeeper
from slacker.zookeeper.embedded import server as server_module
from slacker.zookeeper.embedded.codes import Code, Event
from slacker.zookeeper.embedded.sessions import SessionTable
from tests.zookeeper.embedded import requests as rq
from tests.zookeeper.embedded.memory import MemoryClient
from tests.zookeeper.embedded.playing import Play


class ClockTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.server = EmbeddedZooKeeper(self.clock, tick_time=0.5)
        self.server.startService()
        self.addCleanup(self.server.stopService)

    def client(self, timeout: int = 10_000) -> MemoryClient:
        client = MemoryClient(self.server, self.clock)
        client.handshake(timeout)
        return client

    def wait(self, seconds: float) -> None:
        """Time passes, in steps, as it does."""
        for _ in range(round(seconds / 0.1)):
            self.clock.advance(0.1)


class ExpiryTests(ClockTestCase):
    def test_a_silent_session_ends_its_nodes_go_and_its_connection_is_cut(self) -> None:
        silent, other = self.client(3_000), self.client()
        silent.ask(rq.create("/mine", b"", 1))
        other.ask(rq.exists("/mine", True))
        self.wait(2.9)
        self.assertTrue(silent.open)
        self.wait(0.7)
        self.assertTrue(silent.transport.aborted)
        self.assertEqual(other.heard(), [(Event.DELETED, "/mine")])

    def test_a_session_without_a_connection_ends_as_well(self) -> None:
        lost, other = self.client(3_000), self.client()
        lost.ask(rq.create("/mine", b"", 1))
        lost.transport.lost()
        self.wait(3.6)
        self.assertEqual(other.ask(rq.exists("/mine")).code, Code.NO_NODE)

    def test_anything_a_client_sends_keeps_its_session(self) -> None:
        client = self.client(3_000)
        for question in (rq.ping(), rq.exists("/"), rq.get_data("/nothing"), rq.ping()):
            self.wait(2.9)
            client.ask(question)
        self.assertTrue(client.open)

    def test_while_the_process_was_held_up_nobody_expires(self) -> None:
        client = self.client(3_000)
        self.clock.advance(60)
        self.assertTrue(client.open)
        self.wait(2.4)
        self.assertTrue(client.open)
        self.wait(1.2)
        self.assertFalse(client.open)

    def test_a_test_can_expire_a_session(self) -> None:
        client, other = self.client(), self.client()
        client.ask(rq.create("/mine", b"", 1))
        self.assertTrue(self.server.expire_session(client.session))
        self.assertTrue(client.transport.aborted)
        self.assertEqual(other.ask(rq.exists("/mine")).code, Code.NO_NODE)
        self.assertFalse(self.server.expire_session(client.session))

    def test_containers_and_nodes_with_a_time_to_live_are_looked_after(self) -> None:
        client = self.client(40_000)
        client.ask(rq.create("/c", op=19))
        client.ask(rq.create_ttl("/c/ttl", 2_000))
        client.ask(rq.add_watch("/c", 1))
        self.wait(1.9)
        self.assertEqual(client.heard(), [])
        self.wait(1.3)
        self.assertEqual(client.heard(), [(Event.DELETED, "/c/ttl"), (Event.DELETED, "/c")])

    def test_a_clock_that_stops_says_so(self) -> None:
        def fail() -> None:
            raise RuntimeError("on purpose")

        self.server.processor.reap = fail  # type: ignore[method-assign]  # nothing is known to make it fail
        self.wait(0.6)
        self.assertEqual([str(error.value) for error in self.flushLoggedErrors(RuntimeError)], ["on purpose"])


class LimitTests(ClockTestCase):
    def test_a_connection_without_a_handshake_is_cut(self) -> None:
        stranger, client = MemoryClient(self.server, self.clock), self.client(40_000)
        self.wait(9.9)
        self.assertTrue(stranger.open)
        self.wait(1)
        self.assertTrue(stranger.transport.aborted)
        self.assertTrue(client.open)

    def test_a_closed_connection_whose_end_is_not_read_is_cut(self) -> None:
        client = self.client(40_000)
        client.transport.loseConnection = lambda: None  # type: ignore[method-assign]  # a peer that reads nothing
        client.ask(rq.close())
        self.wait(9)
        self.assertFalse(client.transport.aborted)
        self.wait(2)
        self.assertTrue(client.transport.aborted)

    def test_there_are_only_so_many_connections(self) -> None:
        self.patch(server_module, "MAX_CONNECTIONS", 2)
        clients = [MemoryClient(self.server, self.clock) for _ in range(3)]
        self.assertEqual([client.open for client in clients], [True, True, False])
        clients[0].transport.lost()
        self.clock.advance(0)
        self.assertTrue(MemoryClient(self.server, self.clock).open)

    def test_there_are_only_so_many_sessions(self) -> None:
        self.server.sessions = SessionTable(1, 40, max_sessions=1)
        self.assertIsNotNone(MemoryClient(self.server, self.clock).handshake())
        self.assertIsNone(MemoryClient(self.server, self.clock).handshake())


class SuccessorTests(SynchronousTestCase):
    def test_a_server_started_later_does_not_send_its_predecessors_clients_back_in_time(self) -> None:
        clock = Clock()
        clock.advance(1_800_000_000)
        client = MemoryClient(EmbeddedZooKeeper(clock), clock)
        client.handshake()
        for _ in range(1_000):
            seen = client.ask(rq.create("/a", b"", 2)).zxid
        clock.advance(0.001)
        again = MemoryClient(EmbeddedZooKeeper(clock), clock)
        assert client.welcome is not None
        gone = again.handshake(zxid=seen, session=client.session, password=client.welcome.password)
        self.assertEqual(gone, (0, 0, bytes(16), b"\0"))
        again = MemoryClient(EmbeddedZooKeeper(clock), clock)
        welcome = again.handshake(zxid=seen)
        assert welcome is not None
        self.assertNotEqual(welcome.session, client.session)


class PortTests(TestCase):
    def setUp(self) -> None:
        self.server = EmbeddedZooKeeper()
        self.addCleanup(self.server.stop)

    async def listen(self, endpoint: str = "tcp:0:interface=127.0.0.1") -> IListeningPort:
        return await self.server.listen(endpoint)

    async def test_the_address_is_the_first_ports(self) -> None:
        self.assertRaises(ZookeeperError, lambda: self.server.address)
        first = await self.listen()
        await self.listen()
        host = first.getHost()
        self.assertEqual(self.server.address, f"127.0.0.1:{getattr(host, 'port', None)}")

    async def test_a_port_without_a_number_is_no_address(self) -> None:
        await self.listen(f"unix:{self.mktemp()}")
        error = self.assertRaises(ZookeeperError, lambda: self.server.address)
        self.assertIn("no host and port", str(error))

    async def test_a_wrong_endpoint_fails(self) -> None:
        for endpoint in ("nonsense", "nonsense:0", "tcp:x"):
            with self.assertRaises(ValueError):
                await self.listen(endpoint)
        self.assertRaises(ZookeeperError, lambda: self.server.address)

    async def test_sessions_and_nodes_wait_for_the_server_to_listen_again(self) -> None:
        await self.listen()
        play = Play(self.server.address)
        await play.join("a", timeout=1_000)
        await play.ask("a", rq.create("/kept"), rq.create("/mine", b"", 1))
        await self.server.stop()
        self.assertIsNone(await play.clients["a"].frames.get())
        self.assertRaises(ZookeeperError, lambda: self.server.address)
        await self.listen()
        play.address = self.server.address
        await play.rejoin("b", "a")
        answer = await play.ask("b", rq.exists("/kept"), rq.exists("/mine"))
        assert answer is not None
        self.assertEqual(answer.code, Code.OK)
        await play.leave()

    async def test_connections_can_be_dropped_while_sessions_live_on(self) -> None:
        await self.server.drop_connections()
        await self.listen()
        play = Play(self.server.address)
        await play.join("a")
        await play.ask("a", rq.create("/mine", b"", 1))
        await self.server.drop_connections()
        self.assertEqual(self.server.clients(), [])
        self.assertIsNone(await play.clients["a"].frames.get())
        await play.rejoin("b", "a")
        answer = await play.ask("b", rq.exists("/mine"))
        assert answer is not None
        self.assertEqual(answer.values[0]["ephemeral_owner"], play.welcomes["a"].session)
        await play.leave()

    async def test_it_is_a_service(self) -> None:
        self.assertTrue(verifyObject(IService, self.server))
        parent = MultiService()
        self.server.setServiceParent(parent)
        parent.startService()
        self.assertTrue(self.server.running)
        await self.listen()
        await parent.stopService()
        self.assertFalse(self.server.running)
        self.assertRaises(ZookeeperError, lambda: self.server.address)

    async def test_stopping_twice_does_no_harm(self) -> None:
        await self.listen()
        await self.server.stop()
        await self.server.stop()
