"""Which server is chosen."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from slacker.cluster.grouping import check_grouping, choose_first, choose_random
from slacker.errors import ConfigurationError


class GroupingTests(SynchronousTestCase):
    servers: Any = ["a", "b", "c"]  # the choice never looks at a server

    def test_random_takes_each_about_as_often_as_the_others(self) -> None:
        chosen = [choose_random(self.servers, None) for _ in range(3000)]
        for server in self.servers:
            self.assertGreater(chosen.count(server), 800)

    def test_first_is_the_leader_or_else_the_first_in_order(self) -> None:
        leader: Any = "b"
        self.assertEqual(choose_first(self.servers, leader), "b")
        self.assertEqual(choose_first(self.servers, None), "a")

    def test_unknown_policies_are_refused_with_those_there_are(self) -> None:
        for known in ["random", "first", "all"]:
            check_grouping(known)
        for unknown in ["rnadom", None, 3]:
            error = self.assertRaises(ConfigurationError, check_grouping, unknown)
            self.assertIn("random, first, all", str(error))
