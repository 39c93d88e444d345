"""The ports of several workers, given out from those of the command line."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from slacker.errors import ConfigurationError
from slacker.tap.ports import check_distinct, endpoint_of, node_of


class PortTests(SynchronousTestCase):
    def test_ports_go_up_by_one_from_worker_to_worker(self) -> None:
        cases = [
            ("tcp:2104", "tcp:2107"),
            ("tcp:2104:interface=127.0.0.1", "tcp:2107:interface=127.0.0.1"),
            ("tcp:port=2104:backlog=5", "tcp:port=2107:backlog=5"),
            ("tcp:interface=127.0.0.1:port=2104", "tcp:interface=127.0.0.1:port=2107"),
            (r"tcp6:2104:interface=\:\:1", r"tcp6:2107:interface=\:\:1"),
            (r"tcp6:interface=\:\:1:port=2104", r"tcp6:interface=\:\:1:port=2107"),
            ("ssl:443:privateKey=k.pem:certKey=c.pem", "ssl:446:privateKey=k.pem:certKey=c.pem"),
            ("haproxy:tcp:2104", "haproxy:tcp:2107"),
            ("tcp:0:interface=127.0.0.1", "tcp:0:interface=127.0.0.1"),
        ]
        for endpoint, expected in cases:
            self.assertEqual(endpoint_of(endpoint, 3), expected)
            self.assertEqual(endpoint_of(endpoint, 0), endpoint)

    def test_endpoints_without_a_port_are_refused(self) -> None:
        for endpoint in (
            *["unix:/run/x", "unix:2104", "systemd:domain=INET:index=0", "nonsense", "tcp:", "tcp:http"],
            *["tcp:2104x", r"tcp:interface=a\:port=5", "2104", ""],
        ):
            error = self.assertRaises(ConfigurationError, endpoint_of, endpoint, 1)
            self.assertIn(f"endpoint {endpoint!r} cannot be shared out", str(error))

    def test_there_is_a_last_port(self) -> None:
        self.assertEqual(endpoint_of("tcp:65534", 1), "tcp:65535")
        error = self.assertRaises(ConfigurationError, endpoint_of, "tcp:65534", 2)
        self.assertEqual(str(error), "'tcp:65534': worker 3 would have port 65536, and 65535 is the last")

    def test_the_port_of_a_node_goes_up_too_and_its_host_stays(self) -> None:
        self.assertEqual(node_of("shop", 2), "shop")
        self.assertEqual(node_of("[::1]", 2), "[::1]")
        self.assertEqual(node_of("10.0.0.1:2104", 2), "10.0.0.1:2106")
        self.assertEqual(node_of("[::1]:2104", 2), "[::1]:2106")
        self.assertRaises(ConfigurationError, node_of, "shop:65535", 1)
        self.assertRaises(ConfigurationError, node_of, "shop:none", 1)

    def test_no_port_is_for_two_workers(self) -> None:
        check_distinct(["tcp:2104", "tcp:2107", "tcp:0", "tcp:0"], 3)
        error = self.assertRaises(ConfigurationError, check_distinct, ["tcp:2106", "tcp:2104"], 3)
        self.assertIn("'tcp:2106' would be for worker 1 and for worker 3", str(error))
        self.assertIn("lie 3 apart", str(error))
