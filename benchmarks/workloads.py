"""What is called, in every contender alike: nothing here needs more than the standard library."""

from __future__ import annotations

import random
import re
import resource
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import Any

NAMESPACE = "slacker.example.api"

_BYTES = {"B": 1, "KB": 1 << 10, "MB": 1 << 20}


def echo(value: Any) -> Any:
    """What every contender serves: the argument itself ..."""
    return value


def rand_ints(count: int) -> list[int]:
    """... and a list of small numbers."""
    return [random.randrange(1000) for _ in range(count)]


def burn(milliseconds: int) -> int:
    """Work: so much processor time of its thread."""
    end = thread_time() + milliseconds / 1000
    while thread_time() < end:
        pass
    return milliseconds


#: All of them, for ``SlackerServer`` and ``--expose``.
EXPOSED = {NAMESPACE: {"echo": echo, "rand-ints": rand_ints, "burn": burn}}


@dataclass(frozen=True)
class Workload:
    """The function's name on the wire, its arguments, their size, and whether an answer is right."""

    function: str
    args: list[Any]
    size: int
    is_right: Callable[[Any], bool]


def workload(name: str) -> Workload:
    """The workload of a name.

    That is ``echo 20`` (of a text of so many characters), ``rand-ints 5``, ``burn 5`` (milliseconds), or
    ``1 KB`` (echo of so many bytes).

    :raises ValueError: if it is none of these.
    """
    found = re.fullmatch(r"(echo|rand-ints|burn) (\d+)|(\d+) (B|KB|MB)", name)
    if found is None:
        raise ValueError(f"workload {name!r} should be like echo 20, rand-ints 5, burn 5, 20 B, 1 KB or 1 MB")
    function, count, size, unit = found.groups()
    if function == "rand-ints":
        return Workload(function, [int(count)], 4 * int(count), lambda value: len(value) == int(count))
    if function == "burn":
        return Workload(function, [int(count)], 1, lambda value: bool(value == int(count)))
    what: str | bytes
    if function == "echo":
        what = ("abcdefghijklmnopqrst" * (int(count) // 20 + 1))[: int(count)]
    else:
        what = bytes(range(256)) * (int(size) * _BYTES[unit] // 256 + 1)
        what = what[: int(size) * _BYTES[unit]]
    return Workload("echo", [what], len(what), lambda value: bool(value == what))


def cpu_seconds() -> float:
    """What this process, all its threads included, has used so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Tally:
    """Counts the calls of one measurement, from its making on, and says when no more shall begin.

    :ivar began: when that was.
    """

    def __init__(self, seconds: float) -> None:
        self._latencies: list[float] = []
        self._cpu = cpu_seconds()
        self.began = perf_counter()
        self._deadline = self.began + seconds

    def ended(self, started: float) -> float:
        """A call that began then has ended. The time now, at which the next may begin; 0 if none shall."""
        now = perf_counter()
        self._latencies.append(now - started)
        return now if now < self._deadline else 0.0

    def result(self) -> dict[str, float]:
        """Calls, seconds, CPU seconds of this process, and latencies in seconds (p50, p99)."""
        took = perf_counter() - self.began
        latencies = sorted(self._latencies)
        return {
            "calls": len(latencies),
            "seconds": took,
            "cpu": cpu_seconds() - self._cpu,
            "p50": latencies[len(latencies) // 2],
            "p99": latencies[len(latencies) * 99 // 100],
        }
