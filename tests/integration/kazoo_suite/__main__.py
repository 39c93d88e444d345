"""Runs the tests and prints what became of them, as one line of JSON, the last of standard output."""

from __future__ import annotations

import importlib
import json
import os
import sys
import unittest
from collections.abc import Iterator

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


def flat(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """The tests of a suite of suites."""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flat(item)
        else:
            yield item


def main(names: list[str]) -> int:
    """Run the tests of all modules, or those whose names begin with one of `names`."""
    os.environ.setdefault("ZOOKEEPER_VERSION", "3.8.0")  # kazoo's harness does not start without
    standins.install()
    suite = unittest.TestSuite()
    left_out = []
    for module in MODULES:
        code = importlib.import_module(f"kazoo.tests.test_{module}")
        for test in flat(unittest.defaultTestLoader.loadTestsFromModule(code)):
            name = test.id().removeprefix("kazoo.tests.")
            if names and not name.startswith(tuple(names)):
                continue
            if name in EXCLUDED:
                left_out.append(name)
            else:
                suite.addTest(test)
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=2).run(suite)
    summary = {
        "run": result.testsRun,
        "skipped": {test.id(): reason for test, reason in result.skipped},
        "failed": {test.id(): text for test, text in result.failures + result.errors},
        "excluded": left_out,
    }
    print(json.dumps(summary))
    sys.stdout.flush()
    # Threads of kazoo that a failed test left behind must not keep the process.
    os._exit(0 if result.wasSuccessful() else 1)


if __name__ == "__main__":
    main(sys.argv[1:])
