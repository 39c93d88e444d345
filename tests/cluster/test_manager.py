"""The manager's functions, called by peers on this machine and on others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from slacker.cluster import ClusterServer
from slacker.cluster.manager import may_manage
from slacker.content import dumps, loads
from slacker.content.values import Keyword, List
from slacker.errors import ConfigurationError
from slacker.server import SlackerServer
from slacker.server.auth import Identity
from slacker.server.peer import PeerInfo
from slacker.wire import Decoder, Error, Frame, Request, Response, ResultCode, encode
from tests.cluster.test_server import ADDRESS, MemberCase

NAMESPACE = "slacker.cluster.manager"
CLJ = 2
HERE = IPv4Address("TCP", "127.0.0.1", 40_001)
ELSEWHERE = IPv4Address("TCP", "192.0.2.9", 40_001)
VECTORS = Path(__file__).parent.parent / "vectors" / "zk_tree.json"


class ManagerCase(MemberCase):
    def setUp(self) -> None:
        super().setUp()
        self.shut_down = 0
        self.managed = self.member(
            manager=True,
            server_data={Keyword("weight"): 3, Keyword("label"): Keyword("example")},
            on_shutdown=self.note_shutdown,
        )

    def note_shutdown(self) -> None:
        self.shut_down += 1

    def send(self, function: str, *arguments: Any, peer: IAddress = HERE) -> StringTransport:
        """Call as a peer from there; what it reads is what it is answered."""
        transport = StringTransport(peerAddress=peer)
        protocol = self.managed.server.factory.buildProtocol(peer)
        assert protocol is not None
        protocol.makeConnection(transport)
        data = dumps("clj", List(arguments))
        protocol.dataReceived(encode(Request(1, CLJ, f"{NAMESPACE}/{function}", data)))
        self.addCleanup(protocol.connectionLost)
        return transport

    def call(self, function: str, *arguments: Any, seconds: float = 0.5, peer: IAddress = HERE) -> Frame:
        transport = self.send(function, *arguments, peer=peer)
        self.world.advance(seconds)
        (frame,) = Decoder().feed(transport.value())
        return frame

    def answer(self, function: str, *arguments: Any) -> Any:
        frame = self.call(function, *arguments)
        assert isinstance(frame, Response)
        self.assertEqual(frame.code, ResultCode.SUCCESS, frame)
        return loads("clj", frame.data)

    def error(self, function: str, *arguments: Any, seconds: float = 0.5) -> str:
        frame = self.call(function, *arguments, seconds=seconds)
        assert isinstance(frame, Response)
        self.assertEqual(frame.code, ResultCode.EXCEPTION, frame)
        return frame.data.decode()


class FunctionTests(ManagerCase):
    def test_each_answers_byte_for_byte_as_upstreams_does(self) -> None:
        results: dict[str, dict[str, Any]] = json.loads(VECTORS.read_text("utf-8"))["results"]
        calls: list[tuple[str, str, tuple[Any, ...]]] = [
            ("offline-ns", "offline-ns", ("a",)),
            ("online-ns", "online-ns", ("a",)),
            ("offline-ns-unknown", "offline-ns", ("no.such.ns",)),
            ("offline-ns-prefix", "offline-ns", ("",)),
            ("offline-ns-twice-1", "offline-ns", ("a",)),
            ("offline-ns-twice-2", "offline-ns", ("a",)),
            ("online-again", "online", ()),
            ("server-data-before", "server-data", ()),
            ("set-server-data!", "set-server-data!", ({Keyword("weight"): 7},)),
            ("server-data-after", "server-data", ()),
            ("offline", "offline", ()),
            ("online", "online", ()),
            ("shutdown", "shutdown", ()),
        ]
        for result, function, arguments in calls:
            transport = self.send(function, *arguments)
            self.world.advance(0.5)
            self.assertEqual(transport.value().hex(), results[result]["hex"], result)

    def test_offline_and_online_are_of_all_namespaces(self) -> None:
        self.assertIsNone(self.answer("offline"))
        self.assertEqual(self.found(), [])
        self.assertIsNone(self.answer("online"))
        self.assertEqual(self.found(), ["a", "b"])

    def test_offline_ns_and_online_ns_are_of_one(self) -> None:
        self.assertIsNone(self.answer("offline-ns", "b"))
        self.assertEqual(self.found(), ["a"])
        self.assertIsNone(self.answer("online-ns", "b"))
        self.assertEqual(self.found(), ["a", "b"])

    def test_a_name_that_is_not_here_takes_nothing_offline_and_puts_nothing_online(self) -> None:
        for name in ("a.b", "", "namespaces", "_leader", NAMESPACE, 1, None, ["a"], {"a": 1}):
            self.assertIsNone(self.answer("offline-ns", name))
            self.assertIn("this server has no namespace", self.error("online-ns", name))
        self.assertEqual(self.found(), ["a", "b"])

    def test_the_server_data_are_changed_and_read(self) -> None:
        self.assertIsNone(self.answer("set-server-data!", {Keyword("weight"): 7}))
        self.assertEqual(self.answer("server-data"), {Keyword("weight"): 7})
        self.assertEqual(self.world.nodes[self.layout.server(ADDRESS)].data, b"{:weight 7}")

    def test_shutdown_answers_first(self) -> None:
        transport = self.send("shutdown")
        self.assertEqual(len(transport.value()), 16)
        self.assertEqual(self.shut_down, 0)
        self.world.advance(0.05)
        self.assertEqual(self.shut_down, 1)

    def test_shutdown_stops_the_member_if_nothing_else_is_said(self) -> None:
        self.managed = self.member(manager=True)
        self.assertIsNone(self.answer("shutdown"))
        self.world.advance(1)
        self.assertIn("stops listening", self.reactor.noted)

    def test_what_zookeeper_does_not_confirm_is_an_error_that_says_so_and_is_done_later(self) -> None:
        self.world.reachable = False
        self.world.clients[-1].suspend()
        self.assertIn("not confirmed it within 5 s", self.error("offline", seconds=5.1))
        self.world.reachable = True
        self.world.advance(1)
        self.assertEqual(self.found(), [])


class AccessTests(ManagerCase):
    def test_peers_on_this_machine_are_answered(self) -> None:
        for peer in (HERE, IPv4Address("TCP", "127.8.8.8", 1), IPv6Address("TCP", "::1", 1), UNIXAddress("")):
            self.assertIsInstance(self.call("server-data", peer=peer), Response)

    def test_everybody_else_is_refused_whatever_is_called(self) -> None:
        for function in self.managed.server.functions.namespaces[NAMESPACE]:
            for peer in (ELSEWHERE, IPv6Address("TCP", "2001:db8::9", 1)):
                self.assertEqual(self.call(function, peer=peer), Error(1, ResultCode.ACL_REJECT))
        self.assertEqual((self.found(), self.shut_down), (["a", "b"], 0))

    def test_without_manager_there_is_none(self) -> None:
        self.managed = self.member()
        self.assertEqual(self.call("server-data"), Error(1, ResultCode.NOT_FOUND))


class PublishedTests(ManagerCase):
    def test_its_functions_are_described_and_clients_do_not_find_it(self) -> None:
        names = {
            path.rpartition("/")[2]
            for path in self.world.nodes
            if path.startswith(f"{self.layout.functions(NAMESPACE)}/")
        }
        self.assertEqual(
            names,
            {
                "offline",
                "offline-ns",
                "online",
                "online-ns",
                "server-data",
                "set-server-data!",
                "shutdown",
            },
        )
        self.assertNotIn(self.layout.namespace(NAMESPACE), self.world.nodes)

    def test_a_namespace_of_ones_own_of_this_name_is_refused_beside_it(self) -> None:
        server = SlackerServer([{NAMESPACE: {"offline": lambda: None}}], reactor=self.reactor)
        with self.assertRaises(ConfigurationError):
            ClusterServer(server, "c", manager=True, reactor=self.reactor)


class MayManageTests(SynchronousTestCase):
    def test_it_is_a_matter_of_where_the_peer_is(self) -> None:
        self.assertTrue(may_manage(PeerInfo.at(HERE)))
        self.assertFalse(may_manage(PeerInfo.at(ELSEWHERE)))
        self.assertFalse(may_manage(PeerInfo.at(None)))

    def test_or_of_whom_the_server_has_let_in_for_it(self) -> None:
        for namespaces, may in ((("*",), True), ((NAMESPACE,), True), (("a", "a.*"), False)):
            peer = PeerInfo.at(ELSEWHERE)
            peer.identity = Identity("operator", namespaces)
            self.assertEqual(may_manage(peer), may)
