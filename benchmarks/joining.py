"""A thousand servers join a cluster: how long until a client is connected to all, and what waits for that."""

from __future__ import annotations

from benchmarks.harness import Contender, Pair, running
from benchmarks.results import Figure, Results

SERVERS = 1_000

_JOINING = Contender("joining", "benchmarks.contenders.joining", "joining")
_PATIENCE = 60.0


def measure(rounds: int, servers: int = SERVERS) -> Results:
    """Once while they join, and once by a client that comes when all are there."""
    values: dict[tuple[str, str], list[float]] = {}

    def add(when: str, answer: dict[str, float]) -> None:
        for what, name in (
            ("seconds", "right view"),
            ("stall", "longest stall"),
            ("stall_cpu", "longest stall, CPU"),
        ):
            values.setdefault((when, name), []).append(answer[what])

    for _ in range(rounds):
        with running(_JOINING) as (pair,):
            pair.server.order(listen=servers, seconds=_PATIENCE)
            add("they join", _joined(pair, servers))
            add("all are there", pair.client.order(servers=servers, anew=True, seconds=_PATIENCE))
    found = Results()
    for (when, name), each in values.items():
        found.add(Figure(f"{servers:,} servers, {when}: {name}", "s", each))
    return found


def _joined(pair: Pair, servers: int) -> dict[str, float]:
    pair.client.send(servers=servers)
    pair.server.order(join=True, seconds=_PATIENCE)
    answer: dict[str, float] = pair.client.read(_PATIENCE)
    return answer
