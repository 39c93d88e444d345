"""What idle connections and pending calls take of memory, on each side: resident bytes by ``/proc``.

What the kernel holds for a connection is not in it.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.harness import Contender, Pair, running
from benchmarks.results import Figure, Results

CONNECTIONS = 10_000
#: Pending calls of each of so many clients.
CALLS = 2_000
_CLIENTS = 10

_SLACKER = Contender("slacker", "benchmarks.contenders.idle", "slacker")
_BARE = Contender("bare Protocol", "benchmarks.contenders.idle", "bare")


def measure(rounds: int, connections: int = CONNECTIONS, calls: int = CALLS) -> Results:
    """Fresh processes in each round, because what was freed is not given back."""
    found = Results()
    if not Path("/proc/self/statm").exists():
        found.notes.append("memory: this system does not tell it in /proc")
        return found
    values: dict[str, list[float]] = {}

    def add(what: str, sides: tuple[float, float]) -> None:
        for side, value in zip(("server", "client"), sides, strict=True):
            values.setdefault(f"{what}, {side}", []).append(value)

    for _ in range(rounds):
        for contender in (_SLACKER, _BARE):
            with running(contender) as (pair,):
                count = min(connections, pair.client.order()["most"], pair.server.order()["most"])
                add(f"idle connection, {contender.name}", _growth(pair, count, connections=count))
        with running(_SLACKER) as (pair,):
            pair.client.order(connections=_CLIENTS - 1)
            add("pending call", _growth(pair, _CLIENTS * calls, calls=calls))
    for what, each in values.items():
        found.add(Figure(what, "bytes", each))
    found.notes.append(
        f"memory: {count:,} idle connections"
        + ("" if count == connections else f"; the limit of open files allows no {connections:,}")
    )
    return found


def _growth(pair: Pair, count: int, **order: int) -> tuple[float, float]:
    """Bytes by which an order lets each side grow (server, client), for each of so many."""
    before = [side.order()["memory"] for side in (pair.server, pair.client)]
    pair.client.order(seconds=60.0, **order)
    after = [side.order()["memory"] for side in (pair.server, pair.client)]
    server, client = ((then - now) / count for now, then in zip(before, after, strict=True))
    return server, client
