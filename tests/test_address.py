"""Addresses are host:port, with IPv6 hosts in brackets."""

from twisted.trial.unittest import SynchronousTestCase

from slacker.address import format_address, parse_address
from slacker.errors import ConfigurationError


class AddressTests(SynchronousTestCase):
    def test_host_and_port_come_apart_and_together(self) -> None:
        for text, parts in [
            ("127.0.0.1:2104", ("127.0.0.1", 2104)),
            ("localhost:1", ("localhost", 1)),
            ("[::1]:65535", ("::1", 65535)),
        ]:
            self.assertEqual(parse_address(text), parts)
            self.assertEqual(format_address(*parts), text)

    def test_anything_else_is_refused_with_the_text_in_the_message(self) -> None:
        for text in [
            "",
            "host",
            "host:",
            ":1",
            "host:0",
            "host:65536",
            "host:x",
            "::1:1",
            "a b:1",
            "[]:1",
            "a/b:1",
            "h:²",
        ]:
            error = self.assertRaises(ConfigurationError, parse_address, text)
            self.assertIn(repr(text), str(error))
