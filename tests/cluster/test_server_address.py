"""Under which address a member of a cluster is published."""

from __future__ import annotations

from slacker.cluster import ClusterServer
from slacker.errors import ConfigurationError
from slacker.server import SlackerServer
from tests.cluster.test_server import ADDRESS, LOOPBACK, MemberCase


class AddressTests(MemberCase):
    """Under which address a member is published."""

    def test_that_of_the_listeners_interface(self) -> None:
        self.reach("192.0.2.7", "192.0.2.8")
        self.assertEqual(self.member("tcp:2104:interface=192.0.2.9").address, "192.0.2.9:2104")

    def test_without_an_interface_the_one_from_which_zookeeper_is_reached(self) -> None:
        self.reach("192.0.2.7", "192.0.2.8")
        self.assertEqual(self.member("tcp:2104").address, "192.0.2.7:2104")

    def test_loopback_where_everything_is_on_one_machine(self) -> None:
        self.reach("127.0.0.1", "127.0.0.1")
        self.assertEqual(self.member("tcp:2104").address, ADDRESS)

    def test_an_ipv6_host_in_brackets(self) -> None:
        self.reach("2001:db8::7", "2001:db8::8")
        self.assertEqual(self.member("tcp:2104").address, "[2001:db8::7]:2104")
        self.assertEqual(self.member(r"tcp6:2105:interface=2001\:db8\:\:9").address, "[2001:db8::9]:2105")
        self.assertEqual(self.member("tcp6:2106").address, "[2001:db8::7]:2106")

    def test_a_node_that_is_given_instead(self) -> None:
        self.reach("192.0.2.7", "192.0.2.8")
        for node, address in {
            "a.example": "a.example:2104",
            "a.example:99": "a.example:99",
            "[2001:db8::9]": "[2001:db8::9]:2104",
            "[2001:db8::9]:99": "[2001:db8::9]:99",
        }.items():
            self.assertEqual(self.member("tcp:2104:interface=127.0.0.1", node=node).address, address)

    def test_a_node_that_is_no_address_is_refused_at_once(self) -> None:
        for node in ("", "a b", "::1", "a:99999", "a/b", "[::1", "host:"):
            with self.assertRaises(ConfigurationError):
                ClusterServer(SlackerServer([], reactor=self.reactor), "c", node=node, reactor=self.reactor)

    def test_a_loopback_address_is_refused_where_zookeeper_is_on_another_machine(self) -> None:
        self.reach("192.0.2.7", "192.0.2.8")
        for options in ({}, {"node": "localhost"}, {"node": "127.0.0.9:1"}, {"node": "[::1]"}):
            member = self.member(LOOPBACK, **options)
            reason = self.fails(member.when_published())
            self.assertIn("listen where others reach it, or say node=", reason)
            self.assertIsNone(member.address)
        self.assertNotIn(self.layout.servers, self.world.nodes)

    def test_the_first_tcp_listener_counts(self) -> None:
        self.reach("192.0.2.7", "192.0.2.8")
        member = self.member(None)
        for endpoint in ("unix:/tmp/slacker", "tcp:2104", "tcp:2105"):
            member.listen(endpoint)
        self.world.advance(0.2)
        self.assertEqual(member.address, "192.0.2.7:2104")

    def test_without_a_tcp_listener_there_is_none_until_there_is_one(self) -> None:
        self.reach("192.0.2.7", "192.0.2.8")
        member = self.member("unix:/tmp/slacker")
        self.assertIn(
            "say node=HOST:PORT (twistd slacker: --node HOST:PORT)", self.fails(member.when_published())
        )
        member.listen("tcp:2104")
        self.assertIsNone(self.done(member.when_published()))
        self.assertEqual(member.address, "192.0.2.7:2104")

    def test_without_a_tcp_listener_a_node_with_a_port_will_do(self) -> None:
        self.reach("192.0.2.7", "192.0.2.8")
        member = self.member("unix:/tmp/slacker", node="a.example:99")
        self.assertEqual(member.address, "a.example:99")

    def test_a_refusal_is_looked_at_again_when_zookeeper_is_reached_from_elsewhere(self) -> None:
        self.reach("192.0.2.7", "192.0.2.8")
        member = self.member(LOOPBACK)
        self.fails(member.when_published())
        self.reach("127.0.0.1", "127.0.0.1")
        self.world.clients[-1].suspend()
        self.world.advance(0.2)
        self.assertIsNone(self.done(member.when_published()))
