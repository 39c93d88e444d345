"""Which targets are met, by figures that are made up."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import results, targets
from benchmarks.harness import Measurement, Row
from benchmarks.peers import PEERS
from benchmarks.results import Figure, Results
from benchmarks.suites import SUITES


def made_up(**speeds: float) -> Results:
    """Results in which every contender has made 100 calls/s, save those named here."""
    found = Results()
    found.add(Figure("idle connection, slacker, server", "bytes", [1.0]))
    for suite in SUITES:
        found.rows[suite.name] = [
            Row(name, depth, contender, [Measurement(speed, 50 / speed, 50 / speed, 1 / speed, 2 / speed)])
            for name, depth in suite.cases
            for contender in {each.name for each in suite.contenders} | {peer.name for peer in PEERS}
            for speed in [speeds.get(contender.replace(" ", "_"), 100.0)]
        ]
    return found


class TargetTests(SynchronousTestCase):
    def test_each_has_what_it_is_held_to(self) -> None:
        found = made_up()
        for target in targets.TARGETS:
            self.assertEqual(target.measured(found), [1.0], target)

    def test_one_that_is_not_met_is_told(self) -> None:
        lines = targets.table(made_up(on_reactor=79.0, in_workers=41.0)).splitlines()
        told = {line.partition("  ")[0]: line.rpartition(" ")[2] for line in lines}
        self.assertEqual(told["function on the reactor: echo 20, 40 in flight"], "MISSED")
        self.assertEqual(told["function in a worker pool: echo 20, 40 in flight"], "met")

    def test_a_release_needs_them_only_nearly(self) -> None:
        shown = made_up()
        self.assertEqual(targets.far_missed(made_up(), shown), [])
        self.assertEqual(targets.far_missed(made_up(on_reactor=79.0), shown), [])
        wrong = targets.far_missed(made_up(in_workers=20.0), shown)
        self.assertIn(
            "function in a worker pool: echo 20, 40 in flight: 0.2, "
            "where ≥ 0.4 of the floor's calls/s is the target and 1 is shown",
            wrong,
        )

    def test_one_that_was_missed_before_may_not_become_much_worse(self) -> None:
        shown = made_up(on_reactor=40.0, interceptor=20.0)
        self.assertEqual(targets.far_missed(made_up(on_reactor=30.0, interceptor=15.0), shown), [])
        wrong = targets.far_missed(made_up(on_reactor=25.0, interceptor=8.0), shown)
        self.assertTrue(any("no-op interceptor" in line for line in wrong), wrong)
        self.assertTrue(any("function on the reactor: echo 20, 500" in line for line in wrong), wrong)

    def test_what_was_not_measured_is_not_met(self) -> None:
        self.assertIn("not measured", targets.table(Results()))
        self.assertEqual(
            len(targets.far_missed(Results(), Results())), sum(each.watched for each in targets.TARGETS)
        )


class ResultsTests(SynchronousTestCase):
    def test_every_round_is_kept(self) -> None:
        found = made_up()
        found.add(Figure("seconds", "s", [0.1, 0.3, 0.2]))
        found.notes.append("a note")
        path = Path(self.mktemp())
        found.save(path)
        self.assertEqual(results.load(path), found)
        self.assertEqual(found.figures["seconds"].median, 0.2)
