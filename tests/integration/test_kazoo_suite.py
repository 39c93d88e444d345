"""kazoo's own tests pass on the embedded server, save those that the runner lists."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import DeferredList
from twisted.trial.unittest import TestCase

from tests.integration.kazoo_suite.__main__ import EXCLUDED, MODULES
from tests.integration.processes import Child, clean_up_all, python

#: The tests mostly wait, so they run in four processes at a time; each group takes up to twenty seconds.
GROUPS = (
    ("test_watchers",),
    ("test_partitioner",),
    ("test_client", "test_election"),
    tuple(
        f"test_{name}" for name in MODULES if name not in ("watchers", "partitioner", "client", "election")
    ),
)


class KazooSuiteTests(TestCase):
    timeout = 180

    async def test_kazoos_own_tests_pass(self) -> None:
        children = [python("-m", "tests.integration.kazoo_suite", *group) for group in GROUPS]
        self.addCleanup(clean_up_all, children)
        await DeferredList([child.ended(patience=150) for child in children], fireOnOneErrback=True)
        results = [self.summary(child) for child in children]

        failed = {name: text for result in results for name, text in result["failed"].items()}
        self.assertEqual(failed, {}, "\n\n".join(failed.values()))
        self.assertEqual([child.status for child in children], [0] * len(GROUPS))
        skipped = {name: reason for result in results for name, reason in result["skipped"].items()}
        self.assertEqual(skipped, {})
        # 228 in kazoo 2.11; another version may have a few less, but not a module less.
        self.assertGreater(sum(result["run"] for result in results), 200)
        self.assertEqual({name for result in results for name in result["excluded"]}, set(EXCLUDED))

    def test_every_module_is_in_one_group(self) -> None:
        named = [name for group in GROUPS for name in group]
        self.assertEqual(sorted(named), [f"test_{name}" for name in MODULES])

    def summary(self, child: Child) -> dict[str, Any]:
        """What the process printed last."""
        lines = [line for line in child.output.splitlines() if line.startswith("{")]
        self.assertTrue(lines, child.output)
        result: dict[str, Any] = json.loads(lines[-1])
        return result
