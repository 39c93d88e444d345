"""What twistd runs for ``slacker``: a server, or a supervisor of several."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from slacker.tap.options import Options
from slacker.tap.server import Member, makeService
from slacker.tap.supervisor import Supervisor


def options(*arguments: str) -> Options:
    parsed = Options()
    parsed.parseOptions(["--expose", "json", "--listen", "tcp:0", *arguments])
    return parsed


class MakeServiceTests(SynchronousTestCase):
    def test_one_server_has_no_supervisor(self) -> None:
        self.assertIsInstance(makeService(options()), Member)
        self.assertIsInstance(makeService(options("--workers", "1")), Member)
        self.assertIsInstance(makeService(options("--workers", "2")), Supervisor)

    def test_two_functions_of_one_name_end_in_one_line_whoever_would_serve_them(self) -> None:
        for workers in ("1", "2"):
            ending = self.assertRaises(
                SystemExit, makeService, options("--expose", "json", "--workers", workers)
            )
            self.assertIn("two functions meet in the name json/dump", str(ending.code))
