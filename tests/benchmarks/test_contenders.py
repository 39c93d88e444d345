"""Every contender of our own makes calls, with every workload that it has in a suite."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from benchmarks.suites import SUITES
from tests.integration.processes import python


class ContenderTests(TestCase):
    timeout = 60.0

    async def test_each_runs(self) -> None:
        child = python("-m", "tests.benchmarks.every_contender")
        self.addCleanup(child.clean_up)
        await child.printed("benchmarks.contenders.blocking blocking")
        ran = set(child.output.splitlines())
        for suite in SUITES:
            for each in suite.contenders:
                elsewhere = ".peers." in each.module or each.module.endswith(".processes")
                many = suite.name.startswith("known-") and not each.argument.endswith("-3")
                if not (elsewhere or many):
                    self.assertIn(f"{each.module} {each.argument}", ran)
