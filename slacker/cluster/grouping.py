"""Which of the connected servers a call goes to. Pure: servers in, a server out.

A policy that chooses one server is a function of a :class:`Candidates` and of the servers that were tried
already and certainly did not run the call; it returns None if there is none to choose.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic, Protocol, TypeVar

from slacker.errors import ConfigurationError

S = TypeVar("S")


class Candidates(Protocol[S]):
    """What policies choose from; servers are in the order of their addresses."""

    servers: list[S]
    leader: S | None
    """Where one is known and connected."""

    @property
    def sampler(self) -> Sampler[S]:
        """By weight."""

    @property
    def loads(self) -> Loads[S]:
        """By calls in flight."""


def choose_random(candidates: Candidates[S], tried: Collection[S]) -> S | None:
    """Any of them."""
    servers = candidates.servers if not tried else _others(candidates, tried)
    return servers[int(random.random() * len(servers))] if servers else None


def choose_first(candidates: Candidates[S], tried: Collection[S]) -> S | None:
    """The leader where one is known and connected, else the first in the order of addresses."""
    leader = candidates.leader
    if leader is not None and leader not in tried:
        return leader
    return next((server for server in candidates.servers if server not in tried), None)


def choose_leader(candidates: Candidates[S], tried: Collection[S]) -> S | None:
    """The leader, and never another."""
    return candidates.leader if candidates.leader not in tried else None


def choose_least_in_flight(candidates: Candidates[S], tried: Collection[S]) -> S | None:
    """The one with the fewest calls in flight; one of several at random."""
    if not tried:
        return candidates.loads.least() if candidates.servers else None
    return Loads(_others(candidates, tried), candidates.loads.of).least_or_none()


def choose_weighted(candidates: Candidates[S], tried: Collection[S]) -> S | None:
    """At random, each as often as its weight says."""
    if not tried:
        return candidates.sampler.choose() if candidates.servers else None
    others = _others(candidates, tried)
    return (
        Sampler(others, [candidates.sampler.weight(server) for server in others]).choose() if others else None
    )


def _others(candidates: Candidates[S], tried: Collection[S]) -> list[S]:
    return [server for server in candidates.servers if server not in tried]


#: Every policy that chooses one server.
ONE_SERVER: dict[str, Callable[[Candidates[Any], Collection[Any]], Any]] = {
    "random": choose_random,
    "first": choose_first,
    "leader": choose_leader,
    "least-in-flight": choose_least_in_flight,
    "weighted": choose_weighted,
}
ALL = "all"


def check_grouping(policy: object) -> None:
    """Refuse what is neither a policy's name nor a function.

    :raises ConfigurationError: with the names there are.
    """
    if policy != ALL and not callable(policy) and not (isinstance(policy, str) and policy in ONE_SERVER):
        known = ", ".join([*ONE_SERVER, ALL])
        raise ConfigurationError(f"grouping {policy!r} is unknown; there are {known}, or a function")


def weight_of(server_data: object, key: object) -> float:
    """The weight that a server's data tells under ``key``; 1 where that is no number of 0 or more."""
    if isinstance(server_data, dict):
        weight = server_data.get(key, 1)
        if isinstance(weight, (int, float)) and not isinstance(weight, bool) and 0 <= weight < float("inf"):
            return float(weight)
    return 1.0


class Sampler(Generic[S]):
    """Chooses by weight, in constant time (Walker's alias method); if all weights are 0, all are equal."""

    def __init__(self, servers: Sequence[S], weights: Sequence[float]) -> None:
        self._servers = servers
        self._weights = dict(zip(servers, weights, strict=True))
        count = len(servers)
        total = sum(weights)
        # In each of `count` columns of height 1 stands a server, and above it, from `split` on, another one.
        heights = [weight * count / total for weight in weights] if total > 0 else [1.0] * count
        self._split = [1.0] * count
        self._above = list(range(count))
        low = [index for index, height in enumerate(heights) if height < 1]
        high = [index for index, height in enumerate(heights) if height >= 1]
        while low and high:
            small, large = low.pop(), high[-1]
            self._split[small] = heights[small]
            self._above[small] = large
            heights[large] -= 1 - heights[small]
            if heights[large] < 1:
                low.append(high.pop())

    def choose(self) -> S:
        """One of the servers, of which there is at least one."""
        at = random.random() * len(self._split)
        column = int(at)
        return self._servers[column if at - column < self._split[column] else self._above[column]]

    def weight(self, server: S) -> float:
        """What this server was given."""
        return self._weights[server]


class Loads(Generic[S]):
    """Servers by their calls in flight. Counting a call costs the same however many servers there are.

    :param of: calls in flight of a server now.
    """

    def __init__(self, servers: Sequence[S], of: Callable[[S], int]) -> None:
        self.of = of
        self._load: dict[S, int] = {}
        self._place: dict[S, int] = {}  # in its level
        self._levels: list[list[S]] = [[]]  # by load
        self._least = 0
        for server in servers:
            self._enter(server, of(server))
        self._find_least()

    def change(self, server: S, by: int) -> None:
        """A call on this server began (+1) or ended (-1); servers that are not here are ignored."""
        load = self._load.get(server)
        if load is None:
            return
        level, place = self._levels[load], self._place[server]
        last = level.pop()
        if last is not server:
            level[place] = last
            self._place[last] = place
        load = max(0, load + by)
        self._enter(server, load)
        if load < self._least:
            self._least = load
        elif not self._levels[self._least]:
            self._find_least()

    def least(self) -> S:
        """One of those with the fewest, at random; there is at least one server."""
        level = self._levels[self._least]
        return level[int(random.random() * len(level))]

    def least_or_none(self) -> S | None:
        """As :meth:`least`, where there may be none."""
        return self.least() if self._load else None

    def _enter(self, server: S, load: int) -> None:
        while len(self._levels) <= load:
            self._levels.append([])
        self._load[server] = load
        self._place[server] = len(self._levels[load])
        self._levels[load].append(server)

    def _find_least(self) -> None:
        # After one change it is the next level; the search is long only after servers came or went.
        if self._load:
            self._least = next(index for index, level in enumerate(self._levels) if level)
