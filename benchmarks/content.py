"""What the content types cost: each beside msgpack and json, which are in C, and EDN beside ``edn_format``.

Run ``python -m benchmarks.content``. Each figure is the median of rounds in which the contestants take
turns, so that the machine's moods meet them alike. ``edn_format`` takes part where it is installed.

Every reader reads the same bytes again and again, and slacker's EDN reader remembers atoms: services say the
same keywords all the time. What it takes when every atom is new has a line of its own.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module

from slacker.content import CODECS, dumps, loads
from slacker.content.edn import reader as edn_reader
from slacker.content.values import Keyword

FIVE_INTEGERS = [1973067624, 1317594867, 1845257303, 1617460267, 468398056]
FORTY_INTEGERS = [(number * 1103515245 + 12345) % 2**31 for number in range(40)]

#: The EDN reader is to be at least so many times as fast as ``edn_format``.
EDN_FORMAT_RATIO = 30

#: Writing and reading five integers in these content types, which are in Python, is to cost at most so many
#: times what msgpack costs, which is in C.
MSGPACK_RATIO = 40
IN_PYTHON = ("clj", "nippy")

ALL_NEW = "clj, every atom new"


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


def measure(value: object, rounds: int = 15) -> dict[str, tuple[float, float]]:
    """By name, what writing ``value`` and what reading it costs, in microseconds."""
    writing: dict[str, Callable[[], object]] = {}
    reading: dict[str, Callable[[], object]] = {}
    for name, codec in CODECS.items():
        data = codec.dumps(value)
        writing[name] = partial(codec.dumps, value)
        reading[name] = partial(codec.loads, data)
    text = dumps("clj", value)
    writing[ALL_NEW] = partial(dumps, "clj", value)
    reading[ALL_NEW] = partial(_read_anew, text)
    try:
        edn_format = import_module("edn_format")
    except ImportError:
        pass
    else:
        theirs = edn_format.loads(text.decode())
        writing["edn_format"] = partial(edn_format.dumps, theirs)
        reading["edn_format"] = partial(edn_format.loads, text.decode())
    written, read = compare(writing, rounds), compare(reading, rounds)
    return {name: (written[name], read[name]) for name in writing}


def _read_anew(text: bytes) -> object:
    """Read EDN with a reader that remembers nothing."""
    edn_reader._ATOMS.clear()
    return loads("clj", text)


def values() -> dict[str, object]:
    """What is measured."""
    return {
        "20 characters": ["x" * 20],
        "five integers": FIVE_INTEGERS,
        "forty integers": FORTY_INTEGERS,
        "2 KB nested map": nested_map(),
    }


def table(results: dict[str, dict[str, tuple[float, float]]]) -> str:
    """A line for each content type, with what it costs in microseconds, and times what msgpack costs."""
    lines = [f"{'write + read, µs (x msgpack)':30}" + "".join(f"{label:>28}" for label in results)]
    for name in next(iter(results.values())):
        cells = []
        for costs in results.values():
            written, read = costs[name]
            ratio = (written + read) / sum(costs["msgpack"])
            cells.append(f"{written:9.2f} + {read:8.2f} ({ratio:5.1f})")
        lines.append(f"{name:30}" + "".join(f"{cell:>28}" for cell in cells))
    return "\n".join(lines)


def missed(results: dict[str, dict[str, tuple[float, float]]]) -> list[str]:
    """The goals that were not met, a sentence each."""
    costs = results["five integers"]
    wrong = []
    for name in IN_PYTHON:
        ratio = sum(costs[name]) / sum(costs["msgpack"])
        if ratio > MSGPACK_RATIO:
            wrong.append(
                f"{name} costs {ratio:.0f} times what msgpack does, and at most {MSGPACK_RATIO} is the goal"
            )
    for label in ("five integers", "2 KB nested map"):
        costs = results[label]
        if "edn_format" not in costs:
            continue
        ratio = costs["edn_format"][1] / costs["clj"][1]
        if ratio < EDN_FORMAT_RATIO:
            wrong.append(
                f"clj reads {label} {ratio:.0f} times as fast as edn_format; {EDN_FORMAT_RATIO} is the goal"
            )
    return wrong


def main() -> int:
    """Prints the table; the exit status is 1 if a goal was missed."""
    results = {label: measure(value) for label, value in values().items()}
    print(table(results))
    wrong = missed(results)
    print("\n".join(wrong) if wrong else "All goals are met.")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
