"""What is measured beside calls: it runs, on a small scale."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import anatomy, joining, memory, results, start_up
from benchmarks.results import Figure


class FigureTests(SynchronousTestCase):
    def test_memory_is_measured_on_both_sides(self) -> None:
        found = memory.measure(1, connections=20, calls=200)
        self.assertEqual(len(found.figures), 6)
        self.assertGreater(found.figures["pending call, client"].median, 0)
        self.assertEqual(found.notes, ["memory: 20 idle connections"])

    def test_a_call_is_taken_apart_on_both_sides(self) -> None:
        found = anatomy.measure(1, runs=2)
        rows = anatomy.rows(found)
        for side in anatomy.SIDES:
            steps = {what: costs for where, what, costs in rows if where == side}
            self.assertEqual(list(steps)[-2:], [anatomy.REST, anatomy.WHOLE])
            self.assertEqual(len(steps), 9)
            for whole in steps[anatomy.WHOLE]:
                self.assertGreater(whole, 0)
        stages = anatomy.rows(found, [anatomy.STAGES])
        self.assertEqual([side for side, _, _ in stages], ["client"] * 5 + ["server"] * 5)
        for _, what, _ in [*rows, *stages]:
            self.assertIn(what, anatomy.table(found))

    def test_servers_join_and_are_seen(self) -> None:
        found = joining.measure(1, servers=3)
        self.assertEqual(len(found.figures), 6)
        for figure in found.figures.values():
            self.assertGreater(figure.median, 0)

    def test_starting_is_timed(self) -> None:
        found = start_up.measure(0)  # once, which does not count
        self.assertIn("start-up, twistd server", found.figures)

    def test_the_table_has_a_line_for_each(self) -> None:
        table = results.figures_table([Figure("a figure", "s", [1.0, 3.0, 2.0])])
        self.assertRegex(table, r"a figure +2 +1 +3  s$")
