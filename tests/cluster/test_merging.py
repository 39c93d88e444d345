"""What several answers become."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from slacker.cluster.merging import Outcome, check_merging, merge
from slacker.errors import ClusterError, ConfigurationError

GOOD = [Outcome("a:1", 1, None, 0.1), Outcome("b:1", None, None, 0.2)]
BAD = Outcome("c:1", None, ValueError("no"), 0.3)


class MergingTests(SynchronousTestCase):
    def test_each_kind_of_result(self) -> None:
        for results, expected in [
            ("single", 1),
            ("vector", [1, None]),
            ("map", {"a:1": 1, "b:1": None}),
            ("nil", None),
        ]:
            for exceptions in ["all", "any"]:
                self.assertEqual(merge("n/f", GOOD, results, exceptions), expected)

    def test_some_failures_are_left_out_where_only_all_count(self) -> None:
        self.assertEqual(merge("n/f", [BAD, *GOOD], "map", "all"), {"a:1": 1, "b:1": None})
        self.assertEqual(merge("n/f", [BAD, *GOOD], "single", "all"), 1)

    def test_one_failure_is_enough_where_any_counts(self) -> None:
        outcomes = [*GOOD, BAD]
        error = self.assertRaises(ClusterError, merge, "n/f", outcomes, "map", "any")
        self.assertEqual(error.outcomes, outcomes)
        self.assertEqual(str(error), "n/f failed on 1 of 3 servers: c:1: no")

    def test_failures_of_all_are_a_failure_that_names_the_first_few(self) -> None:
        outcomes = [Outcome(f"{n}:1", None, ValueError(f"no {n}"), 0.1) for n in range(5)]
        for results in ["single", "vector", "map", "nil"]:
            error = self.assertRaises(ClusterError, merge, "n/f", outcomes, results, "all")
            self.assertIn("5 of 5", str(error))
            self.assertIn("no 2; and 2 more", str(error))

    def test_unknown_ways_are_refused_with_those_there_are(self) -> None:
        check_merging("nil", "any")
        wrong: list[tuple[Any, Any, str]] = [
            ("list", "all", "vector"),
            (None, "all", "map"),
            ("map", "some", "any"),
        ]
        for results, exceptions, known in wrong:
            error = self.assertRaises(ConfigurationError, check_merging, results, exceptions)
            self.assertIn(known, str(error))
