"""What is promised, and whether it was kept: each target is held to ratios within one run, or to a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from attrs import field, frozen

from benchmarks.harness import Case
from benchmarks.results import Results
from benchmarks.suites import CALLS, CONTENT, KNOWN, LARGE, OTHERS, PROCESSES, WAYS, known_servers
from slacker.cluster.grouping import ONE_SERVER

#: Before a release, no watched figure may be worse by this factor than its target, or than what the
#: documentation shows if that misses the target. Generous, since a machine has its moods.
MARGIN = 1.4


@frozen
class Target:
    """:ivar what: is promised, and of which case.
    :ivar bound: of the median; at least that if ``at_least``, else at most.
    :ivar unit: of the bound.
    :ivar measured: the values of the rounds, lowest first; empty where that was not measured.
    :ivar watched: whether a release has to be near it.
    """

    what: str
    bound: float
    at_least: bool
    unit: str
    measured: Callable[[Results], Sequence[float]] = field(repr=False)
    watched: bool = False

    def text(self) -> str:
        """Like ``≥ 0.80 of the floor``."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:g} {self.unit}"

    def met(self, value: float) -> bool:
        """Whether this value meets it."""
        return value >= self.bound if self.at_least else value <= self.bound

    def far_from(self, value: float, shown: float, margin: float) -> bool:
        """Whether this value misses it by more than a factor, where ``shown`` is what was measured before."""
        if self.at_least:
            return value * margin < min(self.bound, shown)
        return value > max(self.bound, shown) * margin


def _ratio(
    suite: str, case: Case, ours: str, other: str, figure: str = "calls_per_second"
) -> Callable[[Results], Sequence[float]]:
    """Of one contender's figure to another's, round by round."""

    def measured(results: Results) -> Sequence[float]:
        row, base = (results.row(suite, *case, name) for name in (ours, other))
        return row.ratios(base, figure) if row is not None and base is not None else []

    return measured


def _figure(name: str) -> Callable[[Results], Sequence[float]]:
    """The values of a figure."""

    def measured(results: Results) -> Sequence[float]:
        return sorted(results.figures[name].values) if name in results.figures else []

    return measured


def _calls() -> Iterable[Target]:
    for name, bound, where in (
        ("on reactor", 0.8, "function on the reactor"),
        ("in workers", 0.4, "function in a worker pool"),
    ):
        for workload, depth in CALLS.cases:
            if depth > 1:
                yield Target(
                    f"{where}: {workload}, {depth} in flight",
                    bound,
                    True,
                    "of the floor's calls/s",
                    _ratio(CALLS.name, (workload, depth), name, "floor"),
                    watched=True,
                )
    for workload, depth in CALLS.cases:
        if depth == 1:
            yield Target(
                f"one call at a time: {workload}, function on the reactor",
                1.3,
                False,
                "x the floor's latency (p50)",
                _ratio(CALLS.name, (workload, depth), "on reactor", "floor", "p50_us"),
                watched=True,
            )


def _cluster() -> Iterable[Target]:
    for depth in (1, 40):
        yield Target(
            f"cluster client, random of 3 servers: echo 20, {depth} in flight",
            1.1,
            False,
            "x the CPU of a direct call",
            _ratio(WAYS.name, ("echo 20", depth), "random of 3", "on reactor", "cpu_us"),
            watched=True,
        )
    yield Target(
        "cluster client, random of 3 servers: echo 20, 40 in flight",
        1.1,
        False,
        "x the CPU of 3 clients in turn",
        _ratio(WAYS.name, ("echo 20", 40), "random of 3", "3 connections", "cpu_us"),
    )
    for policy in ONE_SERVER:
        yield Target(
            f"1,000 known servers, {policy}: echo 20, 1 in flight",
            1.15,
            False,
            "x the CPU of a call with 3",
            _ratio(
                known_servers(policy).name,
                ("echo 20", 1),
                f"{KNOWN[-1]} servers",
                f"{KNOWN[0]} servers",
                "cpu_us",
            ),
        )
    yield Target(
        "all of 100 servers: echo 20, 1 in flight",
        130,
        False,
        "single calls' CPU",
        _ratio(WAYS.name, ("echo 20", 1), "all of 100", "on reactor", "cpu_us"),
        watched=True,
    )


def _rest() -> Iterable[Target]:
    for depth in (1, 40):
        yield Target(
            f"a no-op interceptor on both sides: echo 20, {depth} in flight",
            1.15,
            False,
            "x the CPU without",
            _ratio(WAYS.name, ("echo 20", depth), "interceptor", "on reactor", "cpu_us"),
            watched=True,
        )
    for name in ("clj", "nippy"):
        yield Target(
            f"content type {name}: rand-ints 5, 40 in flight",
            0.2,
            True,
            "of the floor's calls/s",
            _ratio(CONTENT.name, ("rand-ints 5", 40), name, "floor"),
            watched=True,
        )
    for depth in (1, 40):
        yield Target(
            f"1 MB payloads: {depth} in flight",
            0.8,
            True,
            "of the floor's bytes/s",
            _ratio(LARGE.name, ("1 MB", depth), "on reactor", "floor"),
            watched=True,
        )

    yield Target(
        "two server processes: a function of 5 ms CPU, cluster client, 20 in flight",
        1.7,
        True,
        "x the calls/s of one",
        _ratio(PROCESSES.name, ("burn 5", 20), "2 processes", "1 process"),
    )
    yield Target(
        "idle connection, server side",
        15 * 1024,
        False,
        "bytes",
        _figure("idle connection, slacker, server"),
    )
    for name, bound in (("AMP", 5), ("grpcio", 15)):
        yield Target(
            f"beside {name}: echo 20, 40 in flight, function on the reactor",
            bound,
            True,
            f"x {name}'s calls/s",
            _ratio(OTHERS.name, ("echo 20", 40), "on reactor", name),
        )


TARGETS = [*_calls(), *_cluster(), *_rest()]


def table(results: Results, targets: Sequence[Target] = TARGETS) -> str:
    """A line for each target, with what was measured beside it: the median, lowest and highest."""
    width = max(len(target.what) for target in targets)
    lines = [f"{'what':{width}}  {'target':38} ours (spread)"]
    for target in targets:
        line = f"{target.what:{width}}  {target.text():38} "
        values = target.measured(results)
        if not values:
            lines.append(line + "not measured")
            continue
        ours = median(values)
        verdict = "met" if target.met(ours) else "MISSED"
        lines.append(f"{line}{ours:.4g} ({values[0]:.4g}-{values[-1]:.4g})  {verdict}")
    return "\n".join(lines)


def far_missed(
    results: Results, shown: Results, targets: Sequence[Target] = TARGETS, margin: float = MARGIN
) -> list[str]:
    """A sentence for each watched target that is missed by more than the margin, or was not measured.

    :param shown: what the documentation shows.
    """
    wrong = []
    for target in targets:
        if not target.watched:
            continue
        values = target.measured(results)
        if not values:
            wrong.append(f"{target.what}: not measured")
            continue
        before = median(target.measured(shown) or [target.bound])
        if target.far_from(median(values), before, margin):
            wrong.append(
                f"{target.what}: {median(values):.4g}, where {target.text()} is the target "
                f"and {before:.4g} is shown"
            )
    return wrong
