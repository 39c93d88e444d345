"""What a call is made of: the CPU of each step of its way, on both sides, beside the floor's.

Each step runs in a loop of its own; a whole side is a real connection over a transport in memory: no socket,
no system call. What the steps leave of it is the rest: the code that joins them. All take turns, and of each
the quickest run counts, in which nothing else happened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from time import perf_counter_ns
from typing import Any, cast

from twisted.internet.protocol import Factory

from benchmarks.contenders import floor
from benchmarks.contenders.client import ON_REACTOR, Nothing
from benchmarks.results import Figure, Results
from benchmarks.steps import CALLS, ECHO, Run, client_steps, server_steps, stage_steps
from benchmarks.workloads import NAMESPACE
from slacker import Client
from slacker.testing import Network

SIDES = ("client", "server")
CONTENDERS = ("slacker", "floor")

#: What an interceptor with all stages adds, none of which does anything.
STAGES = "with an interceptor"

REST = "the rest"
WHOLE = "all of it"

#: How often everything runs in a round.
_RUNS = 500

_ADDRESS = "10.0.0.1:2104"


def figure(side: str, contender: str, what: str) -> str:
    """The name under which a step's cost is kept."""
    return f"a call, {side}, {contender}: {what}"


def measure(rounds: int, runs: int = _RUNS) -> Results:
    """Microseconds of a call, for every step and for all of each side."""
    # Whole sides first, since Python lays objects out by the first that it sees of a class.
    ends = [*_ours(), *_floor(), *_ours(interceptors=[Nothing()])]
    steps = {"client": client_steps(_connected()[1]), "server": server_steps()}
    steps |= {side + STAGES: stage_steps(side) for side in SIDES}
    loops = [loop for those in steps.values() for step in those for loop in step.loops]
    times = iter(_quickest([*loops, *ends], rounds * runs))
    costs = {
        name: [step.costs([next(times) for _ in step.loops]) for step in those]
        for name, those in steps.items()
    }
    found = Results()

    def add(side: str, contender: str, name: str, place: int, whole: float) -> None:
        parts = {step.what: cost[place] for step, cost in zip(steps[name], costs[name], strict=True)}
        parts[REST] = whole - sum(parts.values())
        parts[WHOLE] = whole
        for what, cost in parts.items():
            # Below zero is what differs from run to run, where there is next to nothing.
            found.add(Figure(figure(side, contender, what), "µs", [max(cost, 0.0)]))

    sides = ("server", "client")  # in the order of _ends
    for place, contender in enumerate(CONTENDERS):
        for side in sides:
            add(side, contender, side, place, next(times) / CALLS)
    for side in sides:
        add(side, STAGES, side + STAGES, 0, next(times) / CALLS - cost(found, side, CONTENDERS[0]))
    return found


def rows(found: Results, contenders: Sequence[str] = CONTENDERS) -> list[tuple[str, str, list[float]]]:
    """For each side its steps, the rest and all of it: what that takes of each contender."""
    return [
        (side, what, [cost(found, side, contender, what) for contender in contenders])
        for side in SIDES
        for first in [figure(side, contenders[0], "")]
        for what in [name.removeprefix(first) for name in found.figures if name.startswith(first)]
    ]


def cost(found: Results, side: str, contender: str, what: str = WHOLE) -> float:
    """Microseconds of a call."""
    return found.figures[figure(side, contender, what)].median


def table(found: Results) -> str:
    """A line for each row."""
    lines = [f"{'CPU of a call, µs':75}" + "".join(f"{each:>9}" for each in CONTENDERS)]
    lines += [
        f"{side}: {what:67}" + "".join(f"{each:9.2f}" for each in costs)
        for side, what, costs in [*rows(found), *rows(found, [STAGES])]
    ]
    return "\n".join(lines)


def _quickest(loops: Sequence[Run], runs: int) -> list[float]:
    """Microseconds of the quickest run of each; they take turns."""
    best = [float("inf")] * len(loops)
    for _ in repeat(None, runs):
        for place, loop in enumerate(loops):
            began = perf_counter_ns()
            loop()
            best[place] = min(best[place], (perf_counter_ns() - began) / 1000)
    return best


# Whole sides: what a server does with a read of requests, and a client with the answers, where each makes the
# next call.


def _connected(**options: Any) -> tuple[Network, Client]:
    network = Network()
    network.serve(_ADDRESS, [ON_REACTOR], **options)
    client = network.client(_ADDRESS, **options)
    client.connect()
    network.flush()
    return network, client


def _ours(**options: Any) -> list[Run]:
    network, client = _connected(**options)

    def call(_: object, started: float) -> None:
        client.call(NAMESPACE, ECHO.function, ECHO.args).addCallback(call, started)

    return _ends(network, call)


def _floor() -> list[Run]:
    network = Network()
    network.listen(_ADDRESS, Factory.forProtocol(floor.FloorServer))
    network.connect(_ADDRESS, Factory.forProtocol(floor.FloorClient))
    client = cast(floor.FloorClient, network.connections(_ADDRESS)[0].protocol)

    def call(_: object, started: float) -> None:
        client.call(ECHO.function, ECHO.args, call, started)

    return _ends(network, call)


def _ends(network: Network, call: Callable[[object, float], None]) -> list[Run]:
    for _ in repeat(None, CALLS):
        call(None, 0.0)
    (end,) = network.connections(_ADDRESS)
    return [end.step, end.other.step]
