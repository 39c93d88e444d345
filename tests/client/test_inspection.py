"""Questions about the server itself, and answers that are none."""

from __future__ import annotations

from slacker.errors import ConfigurationError
from tests.client.test_client import ADDRESS, ClientTestCase

ROOM = 65_535 - len('""')


class ArgumentTests(ClientTestCase):
    def test_a_text_that_does_not_fit_is_refused_while_connecting_and_when_connected(self) -> None:
        self.network.serve(ADDRESS, [{"n": {"f": len}}])
        client = self.client()
        for _ in range(2):
            asked = client.functions()
            for question in (client.functions, client.meta):
                error = self.failureResultOf(question("x" * (ROOM + 1)), ConfigurationError).value
                self.assertIn("the text has 65536 bytes as EDN; there is room for 65535", str(error))
            self.assertEqual(self.result(asked), ["n/f"])
            self.assertEqual(client.in_flight, 0)

    def test_the_longest_that_fits_is_sent(self) -> None:
        self.network.serve(ADDRESS, [{"n": {"f": len}}])
        client = self.client()
        for _ in range(2):
            self.assertEqual(self.result(client.functions("x" * ROOM)), [])
        self.assertTrue(client.connected)
