"""Runs the tests and writes what became of them, a line of JSON for each.

``python -m tests.integration.kazoo_suite REPORT_FILE [BEGIN_OF_A_TESTS_NAME…]``
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import sys
import unittest
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from tests.integration.kazoo_suite import standins

MODULES = (
    "barrier",
    "cache",
    "client",
    "counter",
    "election",
    "lease",
    "lock",
    "partitioner",
    "party",
    "queue",
    "watchers",
)

#: Names of tests, and why those are left out.
EXCLUDED = {
    "test_client.TestSSLClient.test_create": "needs TLS",
    "test_client.TestReconfig.test_no_super_auth": "needs reconfig",
    "test_client.TestReconfig.test_add_remove_observer": "needs reconfig",
    "test_client.TestReconfig.test_bad_input": "needs reconfig",
}

#: Seconds after which a test that has not ended never will: the longest take ten.
LONGEST = 45


class Report(unittest.TextTestResult):
    """Writes an outcome at once, so that a test that hangs does not take those before it along."""

    def __init__(self, lines: TextIO, *args: Any) -> None:
        super().__init__(*args)
        self._lines = lines

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        faulthandler.dump_traceback_later(LONGEST, exit=True)

    def stopTest(self, test: unittest.TestCase) -> None:
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)

    def write(self, test: unittest.TestCase, outcome: str) -> None:
        """Keep what became of a test: ``ok``, or why it is not."""
        print(json.dumps([name_of(test), outcome]), file=self._lines, flush=True)

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self.write(test, "ok")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self.write(test, self.failures[-1][1])

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self.write(test, self.errors[-1][1])

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self.write(test, f"skipped: {reason}")


def name_of(test: unittest.TestCase) -> str:
    """``test_module.Class.method``."""
    return test.id().removeprefix("kazoo.tests.")


def flat(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """The tests of a suite of suites."""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flat(item)
        else:
            yield item


def main(report: Path, names: list[str]) -> None:
    """Run the tests whose names begin with one of `names`, or all; ends the process."""
    os.environ.setdefault("ZOOKEEPER_VERSION", "3.8.0")  # kazoo's harness does not start without
    standins.install()
    suite = unittest.TestSuite()
    for module in MODULES:
        code = importlib.import_module(f"kazoo.tests.test_{module}")
        for test in flat(unittest.defaultTestLoader.loadTestsFromModule(code)):
            if name_of(test) not in EXCLUDED and name_of(test).startswith(tuple(names or [""])):
                suite.addTest(test)
    with report.open("w") as lines:
        print(json.dumps([name_of(test) for test in flat(suite)]), file=lines, flush=True)
        result = unittest.TextTestRunner(verbosity=2, resultclass=partial(Report, lines)).run(suite)
    sys.stderr.flush()
    # Threads of kazoo that a failed test left behind must not keep the process.
    os._exit(0 if result.wasSuccessful() else 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
