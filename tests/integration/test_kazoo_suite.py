"""kazoo's own tests pass on the embedded server, save those that the runner lists."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from twisted.internet.defer import DeferredList
from twisted.trial.unittest import TestCase

from tests.integration.kazoo_suite.__main__ import MODULES
from tests.integration.processes import Child, clean_up_all, python

#: The tests mostly wait, so they run in four processes at a time; each group takes up to twenty seconds.
GROUPS: tuple[tuple[str, ...], ...] = (
    ("watchers",),
    ("partitioner",),
    ("client", "election"),
    ("barrier", "cache", "counter", "lease", "lock", "party", "queue"),
)

#: Some of kazoo's tests race with themselves on a busy machine: test_rw_lock waits forever if the lock is
#: passed on before its main thread wakes up. What did not pass is run again, in a process of its own.
ATTEMPTS = 3


class KazooSuiteTests(TestCase):
    timeout = 240

    async def test_kazoos_own_tests_pass(self) -> None:
        planned: set[str] = set()
        passed: set[str] = set()
        waiting: Sequence[Sequence[str]] = [[f"test_{name}." for name in group] for group in GROUPS]
        for _ in range(ATTEMPTS):
            started = [self.start(names) for names in waiting]
            children = [child for child, _ in started]
            self.addCleanup(clean_up_all, children)
            await DeferredList([child.ended(patience=120) for child in children], fireOnOneErrback=True)
            outcomes = {}
            for child, report in started:
                names, found = self.read(child, report)
                planned |= names
                outcomes.update(found)
            passed |= {name for name, outcome in outcomes.items() if outcome == "ok"}
            waiting = [sorted(planned - passed)]
            if not waiting[0]:
                break
        said = [f"{name}: {outcomes.get(name, 'it did not end')}" for name in waiting[0]]
        self.assertEqual(waiting, [[]], "\n\n".join(said))
        # 228 in kazoo 2.11; another version may have a few less, but not a module less.
        self.assertGreater(len(passed), 200)

    def test_every_module_is_in_one_group(self) -> None:
        self.assertEqual(sorted(name for group in GROUPS for name in group), sorted(MODULES))

    def start(self, names: Sequence[str]) -> tuple[Child, Path]:
        """Start a process that runs the tests whose names begin so, and name the file of its report."""
        report = Path(self.mktemp()).absolute()
        return python("-m", "tests.integration.kazoo_suite", str(report), *names), report

    def read(self, child: Child, report: Path) -> tuple[set[str], dict[str, str]]:
        """Which tests a process that has ended was to run, and what became of them."""
        self.assertTrue(report.exists(), child.output)
        names, *outcomes = map(json.loads, report.read_text().splitlines())
        return set(names), dict(outcomes)
