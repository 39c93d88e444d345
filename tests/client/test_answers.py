"""What an answer of a real Clojure server in debug mode becomes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from slacker.client.answers import error_of
from slacker.content import get
from slacker.errors import RemoteError
from slacker.wire import Response, ResultCode
from tests.content.vectors import entries


class DebugTests(SynchronousTestCase):
    def test_the_message_arrives_whatever_the_stack_trace_is(self) -> None:
        # Java's objects in nippy, and what Clojure prints of them in EDN; it sends none in the other types.
        for name, file in (("clj", "edn"), ("nippy", "nippy")):
            for entry, message in (
                ("debug-exception-payload-empty", "m"),
                ("debug-exception-payload-nofile", "m"),
                ("debug-exception-payload-nilmsg", "(it has no message)"),
            ):
                data = bytes.fromhex(entries(file)[entry]["hex"])
                answer = Response(1, get(name).wire_id, int(ResultCode.EXCEPTION), data)
                error = error_of(answer, "10.0.0.1:2104", "n/f")
                assert isinstance(error, RemoteError)
                self.assertEqual((error.remote_message, error.remote_traceback), (message, ""))
                self.assertEqual(str(error), f"n/f raised on 10.0.0.1:2104: {message}")
