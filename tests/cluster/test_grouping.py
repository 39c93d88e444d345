"""Which server is chosen."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from attrs import Factory, define
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from slacker.cluster.grouping import ONE_SERVER, Loads, Sampler, check_grouping, weight_of
from slacker.content.values import Keyword
from slacker.errors import ConfigurationError


@define
class Some:
    """Servers are letters here: the choice never looks at one."""

    servers: list[str] = Factory(lambda: ["a", "b", "c"])
    leader: str | None = None
    weights: dict[str, float] = Factory(dict)
    calls: dict[str, int] = Factory(dict)

    @property
    def sampler(self) -> Sampler[str]:
        return Sampler(self.servers, [self.weights.get(server, 1) for server in self.servers])

    @property
    def loads(self) -> Loads[str]:
        return Loads(self.servers, lambda server: self.calls.get(server, 0))


def chosen(policy: str, some: Some, times: int = 3000, tried: str = "") -> Counter[str]:
    return Counter(ONE_SERVER[policy](some, tuple(tried)) for _ in range(times))


class PolicyTests(SynchronousTestCase):
    def setUp(self) -> None:
        random.seed(1)

    def test_random_takes_each_about_as_often_as_the_others(self) -> None:
        self.assertTrue(all(count > 800 for count in chosen("random", Some()).values()))
        self.assertEqual(set(chosen("random", Some())), set("abc"))

    def test_first_is_the_leader_or_else_the_first_in_order(self) -> None:
        self.assertEqual(set(chosen("first", Some(leader="b"))), {"b"})
        self.assertEqual(set(chosen("first", Some())), {"a"})
        self.assertEqual(set(chosen("first", Some(leader="b"), tried="b")), {"a"})
        self.assertEqual(set(chosen("first", Some(), tried="a")), {"b"})

    def test_leader_is_never_another(self) -> None:
        self.assertEqual(set(chosen("leader", Some(leader="b"))), {"b"})
        self.assertEqual(set(chosen("leader", Some())), {None})
        self.assertEqual(set(chosen("leader", Some(leader="b"), tried="b")), {None})

    def test_least_in_flight_breaks_ties_at_random(self) -> None:
        counts = chosen("least-in-flight", Some(calls={"b": 1}))
        self.assertEqual(set(counts), {"a", "c"})
        self.assertTrue(all(count > 1300 for count in counts.values()), counts)

    def test_weighted_takes_each_as_often_as_its_weight_says(self) -> None:
        counts = chosen("weighted", Some(weights={"a": 6, "b": 3, "c": 0}), 9000)
        self.assertNotIn("c", counts)
        self.assertTrue(1.8 < counts["a"] / counts["b"] < 2.2, counts)

    def test_weights_that_are_all_zero_are_equal(self) -> None:
        counts = chosen("weighted", Some(weights={"a": 0, "b": 0, "c": 0}))
        self.assertTrue(all(count > 800 for count in counts.values()))

    def test_what_was_tried_is_not_chosen_again(self) -> None:
        for policy in ONE_SERVER:
            some = Some(leader="c", weights={"c": 5}, calls={"c": 0, "a": 1})
            self.assertEqual(set(chosen(policy, some, tried="ab")), {"c"}, policy)
            self.assertEqual(set(chosen(policy, some, tried="abc")), {None}, policy)

    def test_where_there_is_no_server_none_is_chosen(self) -> None:
        for policy in ONE_SERVER:
            self.assertEqual(set(chosen(policy, Some(servers=[]), 5)), {None}, policy)

    def test_unknown_policies_are_refused_with_those_there_are(self) -> None:
        for known in [*ONE_SERVER, "all", lambda *_: "a"]:
            check_grouping(known)
        wrong: list[Any] = ["rnadom", None, 3, ["all"]]
        for unknown in wrong:
            error = self.assertRaises(ConfigurationError, check_grouping, unknown)
            self.assertIn("random, first, leader, least-in-flight, weighted, all, or a function", str(error))


class WeightTests(SynchronousTestCase):
    def test_a_servers_data_tells_its_weight_and_whatever_is_no_weight_counts_as_one(self) -> None:
        key = Keyword("weight")
        for data, weight in [({key: 3}, 3.0), ({key: 0}, 0.0), ({key: 0.5}, 0.5)]:
            self.assertEqual(weight_of(data, key), weight)
        nothing: list[Any] = [None, {}, [3], {key: -1}, {key: "3"}, {key: True}, {key: float("inf")}]
        for data in [*nothing, {key: float("nan")}, {"weight": 3}]:
            self.assertEqual(weight_of(data, key), 1.0)


class SamplerTests(SynchronousTestCase):
    @settings(derandomize=True, deadline=None, database=None, max_examples=50)
    @given(st.lists(st.one_of(st.just(0.0), st.floats(0.01, 1000)), min_size=1, max_size=30))
    def test_shares_of_the_columns_add_up_to_the_weights(self, weights: list[float]) -> None:
        sampler = Sampler(range(len(weights)), weights)
        shares = [0.0] * len(weights)
        for column, split in enumerate(sampler._split):
            shares[column] += split / len(weights)
            shares[sampler._above[column]] += (1 - split) / len(weights)
        total = sum(weights)
        expected = [weight / total for weight in weights] if total else [1 / len(weights)] * len(weights)
        for share, wanted in zip(shares, expected, strict=True):
            self.assertAlmostEqual(share, wanted)


class LoadsTests(SynchronousTestCase):
    @settings(derandomize=True, deadline=None, database=None, max_examples=50)
    @given(st.lists(st.tuples(st.sampled_from("abcx"), st.booleans()), max_size=60))
    def test_the_least_loaded_is_always_one_of_the_least_loaded(
        self, changes: list[tuple[str, bool]]
    ) -> None:
        calls = dict.fromkeys("abc", 0)
        loads = Loads(list("abc"), calls.__getitem__)
        for server, begins in changes:
            by = 1 if begins else -1
            if server == "x":
                loads.change(server, by)  # no server here
            elif calls[server] + by >= 0:
                calls[server] += by
                loads.change(server, by)
            self.assertEqual(calls[loads.least()], min(calls.values()))

    def test_servers_may_begin_with_calls_and_there_may_be_none(self) -> None:
        self.assertEqual(Loads(["a", "b"], {"a": 7, "b": 3}.__getitem__).least(), "b")
        self.assertIsNone(Loads([], lambda _: 0).least_or_none())
