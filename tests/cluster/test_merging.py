"""What several answers become."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from slacker.cluster.merging import RESULTS, Outcome, check_merging, merge, reducer_of
from slacker.errors import ClusterError, ConfigurationError

GOOD = [Outcome("a:1", 1, None, 0.1), Outcome("b:1", None, None, 0.2)]
BAD = Outcome("c:1", None, ValueError("no"), 0.3)


class MergeTests(SynchronousTestCase):
    def test_each_kind_of_result(self) -> None:
        for results, expected in [
            ("single", 1),
            ("vector", [1, None]),
            ("map", {"a:1": 1, "b:1": None}),
            ("nil", None),
        ]:
            for exceptions in ["all", "any"]:
                self.assertEqual(merge("n/f", GOOD, RESULTS[results], exceptions), expected)

    def test_a_reducer_gets_the_outcomes_that_are_values(self) -> None:
        slowest = merge("n/f", [BAD, *GOOD], lambda outcomes: max(o.seconds for o in outcomes), "all")
        self.assertEqual(slowest, 0.2)

    def test_some_failures_are_left_out_where_only_all_count(self) -> None:
        self.assertEqual(merge("n/f", [BAD, *GOOD], RESULTS["map"], "all"), {"a:1": 1, "b:1": None})
        self.assertEqual(merge("n/f", [BAD, *GOOD], RESULTS["single"], "all"), 1)

    def test_one_failure_is_enough_where_any_counts(self) -> None:
        outcomes = [*GOOD, BAD]
        error = self.assertRaises(ClusterError, merge, "n/f", outcomes, RESULTS["map"], "any")
        self.assertEqual(error.outcomes, outcomes)
        self.assertEqual(str(error), "n/f failed on 1 of 3 servers: c:1: no")

    def test_a_function_decides_by_values_and_failures(self) -> None:
        def most(valid: Any, failed: Any) -> bool:
            return len(failed) > len(valid)

        self.assertEqual(merge("n/f", [BAD, *GOOD], RESULTS["vector"], most), [1, None])
        self.assertRaises(ClusterError, merge, "n/f", [BAD, BAD, GOOD[0]], RESULTS["vector"], most)

    def test_failures_of_all_are_a_failure_that_names_the_first_few(self) -> None:
        outcomes = [Outcome(f"{n}:1", None, ValueError(f"no {n}"), 0.1) for n in range(5)]
        for results in RESULTS.values():
            for exceptions in ["all", "any", lambda valid, failed: False]:
                error = self.assertRaises(ClusterError, merge, "n/f", outcomes, results, exceptions)
                self.assertIn("5 of 5", str(error))
                self.assertIn("no 2; and 2 more", str(error))


class OptionTests(SynchronousTestCase):
    def test_a_name_or_a_function_of_the_call_says_how_to_reduce(self) -> None:
        args = ("n", "f", [1])
        self.assertIs(reducer_of("map", *args), RESULTS["map"])
        self.assertIs(reducer_of(lambda *given: "map" if given == args else "nil", *args), RESULTS["map"])
        self.assertIs(reducer_of(lambda *given: sum, *args), sum)
        wrong: list[Any] = ["list", None]
        for each in wrong:
            self.assertRaises(ConfigurationError, reducer_of, lambda *given: each, *args)  # noqa: B023

    def test_unknown_ways_are_refused_with_those_there_are(self) -> None:
        check_merging("nil", "any")
        check_merging(lambda *_: "nil", lambda *_: False)
        wrong: list[tuple[Any, Any, str]] = [
            ("list", "all", "vector"),
            (None, "all", "map"),
            ("map", "some", "any"),
        ]
        for results, exceptions, known in wrong:
            error = self.assertRaises(ConfigurationError, check_merging, results, exceptions)
            self.assertIn(known, str(error))
