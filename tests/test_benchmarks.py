"""The benchmarks run; what they measure is for ``make bench`` to say."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import harness
from benchmarks.__main__ import CONTENDERS, WORKLOADS


class RunTests(SynchronousTestCase):
    def test_every_contender_makes_calls_of_every_workload(self) -> None:
        rows = harness.run(CONTENDERS, WORKLOADS, [1, 3], rounds=1, seconds=0.01)
        self.assertEqual(len(rows), len(CONTENDERS) * len(WORKLOADS) * 2)
        for row in rows:
            self.assertGreater(row.median("calls_per_second"), 0, row.contender)
        for contender in CONTENDERS:
            self.assertIn(contender.name, harness.table(rows))

    def test_a_contender_that_does_not_start_ends_the_run_with_a_clear_error(self) -> None:
        wrong = harness.Contender("wrong", "benchmarks.no_such_module", "")
        error = self.assertRaises(harness.BenchmarkError, harness.run, [wrong], WORKLOADS, [1], 1, 0.01)
        self.assertIn("benchmarks.no_such_module", str(error))


class TableTests(SynchronousTestCase):
    def row(self, contender: str, *speeds: float) -> harness.Row:
        rounds = [harness.Measurement(speed, 1.0, 2.0, 1e6 / speed, 2e6 / speed) for speed in speeds]
        return harness.Row("echo 20", 40, contender, rounds)

    def test_a_ratio_is_the_median_of_the_rounds_ratios_with_lowest_and_highest(self) -> None:
        floor = self.row("floor", 100.0, 200.0, 400.0)
        ours = self.row("ours", 50.0, 160.0, 100.0)
        self.assertEqual(ours.ratios(floor, "calls_per_second"), [0.25, 0.5, 0.8])
        text = harness.table([floor, ours])
        self.assertIn("0.50 (0.25-0.80)  2.00 (1.25-4.00)", text)

    def test_the_report_holds_every_round(self) -> None:
        report = json.loads(json.dumps(harness.report([self.row("floor", 100.0, 200.0)])))
        self.assertEqual([each["calls_per_second"] for each in report["rows"][0]["rounds"]], [100.0, 200.0])
