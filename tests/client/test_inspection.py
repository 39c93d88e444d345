"""Questions about the server itself, and answers that are none."""

from __future__ import annotations

from slacker.errors import ConfigurationError, ContentError, PeerProtocolError, RemoteError
from slacker.wire import Error, Frame, InspectAck, Response
from tests.client.test_client import ADDRESS, CLJ, ClientTestCase

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


class AnswerTests(ClientTestCase):
    def test_what_is_no_answer_to_a_question_is_an_error(self) -> None:
        client, server = self.greeted()
        answers: list[tuple[Frame, type[Exception], str]] = [
            (InspectAck(0, b"("), ContentError, "not an EDN payload"),
            (Error(0, 21), PeerProtocolError, "could not read"),
            (Response(0, CLJ, 0, b"[1]"), PeerProtocolError, "with the result of a call"),
            (Response(0, CLJ, 12, b'"no"'), RemoteError, "inspect functions raised"),
        ]
        for answer, error, text in answers:
            asked = client.functions()
            self.network.flush()
            [request] = server.received()
            answer.tid = request.tid
            server.say(answer)
            self.assertIn(text, str(self.failure(asked, error)))
        self.assertTrue(client.connected)
