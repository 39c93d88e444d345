"""Contenders run side by side; what they measure is for ``make bench`` to say."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import harness
from benchmarks.suites import CALLS, PROCESSES, SUITES
from benchmarks.workloads import workload


class RunTests(SynchronousTestCase):
    def runs(self, contenders: list[harness.Contender], cases: list[harness.Case]) -> None:
        rows = harness.run(contenders, cases, rounds=1, seconds=0.01)
        self.assertEqual(len(rows), len(contenders) * len(cases))
        for row in rows:
            self.assertGreater(row.median("calls_per_second"), 0, row.contender)
        for contender in contenders:
            self.assertIn(contender.name, harness.table(rows))

    def test_contenders_run_side_by_side(self) -> None:
        self.runs(CALLS.contenders[:2], [("echo 20", 3), ("1 KB", 1)])

    def test_processes_of_twistd_run_and_end(self) -> None:
        self.runs(PROCESSES.contenders[1:], [("burn 1", 2)])

    def test_a_contender_that_does_not_start_ends_the_run_with_a_clear_error(self) -> None:
        wrong = harness.Contender("wrong", "benchmarks.no_such_module", "")
        error = self.assertRaises(harness.BenchmarkError, harness.run, [wrong], CALLS.cases, 1, 0.01)
        self.assertIn("benchmarks.no_such_module", str(error))

    def test_a_contender_is_spared_what_it_cannot_carry(self) -> None:
        floor = CALLS.contenders[0]
        small = harness.Contender("small", floor.module, floor.argument, most=100)
        rows = harness.run([floor, small], [("echo 20", 1), ("1 KB", 1)], 1, 0.01)
        self.assertEqual([row.workload for row in rows if row.contender == "small"], ["echo 20"])


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


class WorkloadTests(SynchronousTestCase):
    def test_a_name_says_what_is_called(self) -> None:
        self.assertEqual(workload("echo 3").args, ["abc"])
        self.assertEqual(workload("rand-ints 5").args, [5])
        self.assertEqual(len(workload("1 MB").args[0]), 2**20)
        self.assertFalse(workload("1 KB").is_right(b"\0" * 2**10))

    def test_no_other_name_will_do(self) -> None:
        for name in ("echo", "echo x", "1 GB", "rand-ints -1"):
            self.assertIn(name, str(self.assertRaises(ValueError, workload, name)))

    def test_all_that_suites_name_is_one(self) -> None:
        for suite in SUITES:
            for name, _ in suite.cases:
                workload(name)
