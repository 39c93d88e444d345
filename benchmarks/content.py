"""What the content types cost: the EDN reader beside ``edn_format``, EDN beside msgpack.

Run ``python -m benchmarks.content``. Each figure is the median of rounds in which the contestants take
turns, so that the machine's moods meet them alike. ``edn_format`` takes part where it is installed. (Both
ends of a measurement read the same text again and again, and slacker's reader remembers atoms.)
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from importlib import import_module

from slacker.content import CODECS, dumps
from slacker.content.values import Keyword

FIVE_INTEGERS = [1973067624, 1317594867, 1845257303, 1617460267, 468398056]

#: The EDN reader is to be at least so many times as fast as ``edn_format``.
EDN_FORMAT_RATIO = 30

#: Writing and reading five integers as EDN, in Python, is to cost at most so many times
#: what msgpack costs, in C.
MSGPACK_RATIO = 40


def nested_map() -> dict[Keyword, object]:
    """2 KB of EDN: what an operator may configure of some services."""
    services = {
        Keyword(f"service-{number}"): {
            Keyword("host"): f"service-{number}.internal.example.com",
            Keyword("port"): 2104 + number,
            Keyword("timeout-ms"): 30000,
            Keyword("retries"): 3,
            Keyword("enabled?"): True,
            Keyword("weight"): 0.25 * number,
            Keyword("zones"): [Keyword("north"), Keyword("west"), Keyword("south")],
            Keyword("threads"): number + 8,
            Keyword("queue-size"): 3000,
        }
        for number in range(1, 11)
    }
    return {Keyword("cluster"): "example-cluster", Keyword("services"): services}


def compare(contestants: Mapping[str, Callable[[], object]], rounds: int = 15) -> dict[str, float]:
    """The median cost of each contestant, in microseconds a call; they take turns in every round."""
    loops = {name: max(1, int(0.004 / _once(call))) for name, call in contestants.items()}
    costs: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            costs[name].append(_once(call, loops[name]) * 1e6)
    return {name: statistics.median(measured) for name, measured in costs.items()}


def _once(call: Callable[[], object], loops: int = 1) -> float:
    """Seconds a call, over so many of them."""
    started = time.perf_counter()
    for _ in range(loops):
        call()
    return (time.perf_counter() - started) / loops


def edn_reader(value: object, rounds: int = 15) -> dict[str, float]:
    """Reading ``value``, in microseconds: slacker's reader, and ``edn_format`` where it is installed."""
    data = dumps("clj", value)
    text = data.decode()
    loads = CODECS["clj"].loads
    contestants: dict[str, Callable[[], object]] = {"slacker": lambda: loads(data)}
    try:
        edn_format = import_module("edn_format")
    except ImportError:
        return compare(contestants, rounds)
    contestants["edn_format"] = lambda: edn_format.loads(text)
    return compare(contestants, rounds)


def codecs(value: object, rounds: int = 15) -> dict[str, float]:
    """Writing and then reading ``value`` with each codec, in microseconds."""

    def both_ways(name: str) -> Callable[[], object]:
        codec = CODECS[name]
        return lambda: codec.loads(codec.dumps(value))

    return compare({name: both_ways(name) for name in CODECS}, rounds)


def main() -> None:
    """Prints the tables, each ratio beside the one that this package holds itself to."""
    print("reading EDN, microseconds (median)")
    for label, value in (("five integers", FIVE_INTEGERS), ("2 KB nested map", nested_map())):
        costs = edn_reader(value)
        line = f"  {label:18}" + "".join(f"  {name} {cost:9.2f}" for name, cost in costs.items())
        if "edn_format" in costs:
            line += f"  x {costs['edn_format'] / costs['slacker']:.0f} (at least {EDN_FORMAT_RATIO})"
        print(line)
    print(f"writing and reading, microseconds (median), x msgpack (clj: at most {MSGPACK_RATIO})")
    for label, call in (("five integers", FIVE_INTEGERS), ("20 characters", ["x" * 20])):
        costs = codecs(call)
        line = "".join(
            f"  {name} {cost:7.2f} x {cost / costs['msgpack']:4.1f}" for name, cost in costs.items()
        )
        print(f"  {label:18}{line}")


if __name__ == "__main__":
    main()
