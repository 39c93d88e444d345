"""Contenders side by side: two processes each, all started first, then measured in turn in every round.

What is compared is measured within the same second, so that the moods of a machine meet all contenders
alike; a figure is the median over the rounds, a ratio the median of the rounds' ratios, with the lowest and
highest beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median
from threading import Timer
from typing import Any

from attrs import define, field

from benchmarks.workloads import workload

ROOT = Path(__file__).parents[1]

#: Seconds beyond its own duration in which an order must be answered: a contender that hangs ends the run.
_PATIENCE = 30.0


class BenchmarkError(Exception):
    """A contender that did not start, or did not answer."""


class Process:
    """One end of a contender, driven through its standard input and output."""

    def __init__(self, *arguments: str, python: str = sys.executable) -> None:
        self._name = " ".join(arguments)
        self._process = subprocess.Popen(
            [python, "-m", *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def read(self, seconds: float = 0.0) -> Any:
        """The next line it prints, which must come in ``seconds`` and some patience."""
        assert self._process.stdout is not None
        timer = Timer(seconds + _PATIENCE, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise BenchmarkError(
                f"{self._name} ended without an answer, or gave none in time; see its output above"
            )
        return json.loads(line)

    def send(self, **order: Any) -> None:
        """Send an order, whose answer is read later."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise BenchmarkError(f"{self._name} has ended; see its output above") from None

    def order(self, **order: Any) -> Any:
        """Send an order and read the answer; how long it takes is in its ``seconds``."""
        self.send(**order)
        return self.read(order.get("seconds", 0.0))

    def end(self) -> None:
        """Let it end, without waiting for that: it does when its input ends."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def close(self) -> None:
        """End it, at last by force."""
        assert self._process.stdout is not None
        self.end()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


@define
class Contender:
    """A name for the table, and the module and argument that start its processes.

    :ivar python: the interpreter that runs them.
    :ivar most: bytes of the largest payload that it can carry at all.
    """

    name: str
    module: str
    argument: str
    python: str = sys.executable
    most: float = float("inf")


@define
class Measurement:
    """What one contender did in one round; CPU is per call, times are microseconds."""

    calls_per_second: float
    client_cpu_us: float
    server_cpu_us: float
    p50_us: float
    p99_us: float

    @property
    def cpu_us(self) -> float:
        """Of both sides together."""
        return self.client_cpu_us + self.server_cpu_us


@define
class Pair:
    """The running processes of a contender."""

    server: Process
    client: Process

    def measure(self, workload: str, depth: int, seconds: float) -> Measurement:
        """One round of one workload."""
        before = self.server.order()["cpu"]
        result = self.client.order(workload=workload, depth=depth, seconds=seconds)
        after = self.server.order()["cpu"]
        calls = result["calls"]
        return Measurement(
            calls_per_second=calls / result["seconds"],
            client_cpu_us=result["cpu"] / calls * 1e6,
            server_cpu_us=(after - before) / calls * 1e6,
            p50_us=result["p50"] * 1e6,
            p99_us=result["p99"] * 1e6,
        )


@contextmanager
def running(*contenders: Contender) -> Iterator[list[Pair]]:
    """The contenders' processes, two each, connected."""
    with ExitStack() as stack:

        def start(contender: Contender, *more: str) -> Process:
            process = Process(contender.module, contender.argument, *more, python=contender.python)
            stack.callback(process.close)
            processes.append(process)
            return process

        def end() -> None:
            for process in processes:
                process.end()

        processes: list[Process] = []
        servers = [start(contender) for contender in contenders]
        wheres = [json.dumps(server.read()) for server in servers]
        clients = [start(contender, where) for contender, where in zip(contenders, wheres, strict=True)]
        for client in clients:
            client.read()
        stack.callback(end)  # all at once; then wait for each
        yield [Pair(server, client) for server, client in zip(servers, clients, strict=True)]


@define
class Row:
    """All rounds of one contender under one workload and depth."""

    workload: str
    depth: int
    contender: str
    rounds: list[Measurement] = field(factory=list)

    def median(self, name: str) -> float:
        """Over the rounds, of one of :class:`Measurement`'s figures."""
        return float(median(getattr(measurement, name) for measurement in self.rounds))

    def ratios(self, floor: Row, name: str) -> list[float]:
        """To the floor's figure in the same round, lowest first."""
        return sorted(
            getattr(ours, name) / getattr(its, name)
            for ours, its in zip(self.rounds, floor.rounds, strict=True)
        )


#: A workload's name, and how many calls are in flight.
Case = tuple[str, int]


def run(contenders: Sequence[Contender], cases: Sequence[Case], rounds: int, seconds: float) -> list[Row]:
    """Measure everything ``rounds`` times, ``seconds`` each, round by round in turn."""
    rows = {
        (name, depth, contender.name): Row(name, depth, contender.name)
        for name, depth in cases
        for contender in contenders
        if workload(name).size <= contender.most
    }
    with running(*contenders) as started:
        pairs = dict(zip([contender.name for contender in contenders], started, strict=True))
        for name, depth, contender in rows:  # a round that nobody counts warms caches and connections
            pairs[contender].measure(name, depth, seconds / 4)
        for _ in range(rounds):
            for (name, depth, contender), row in rows.items():
                row.rounds.append(pairs[contender].measure(name, depth, seconds))
    return list(rows.values())


_HEAD = """\
                                               CPU us per call                       ratio to the first
workload    in flight  contender         calls/s  client  server     p50 us     p99 us  calls/s           p50
"""


def table(rows: Sequence[Row]) -> str:
    """The rows as text; the first contender of each case is what the others are compared with."""
    lines = [_HEAD.rstrip()]
    floor = rows[0]
    for row in rows:
        if (row.workload, row.depth) != (floor.workload, floor.depth):
            floor = row
            lines.append("")
        line = (
            f"{row.workload:12} {row.depth:8}  {row.contender:15} {row.median('calls_per_second'):9,.0f}"
            f"  {row.median('client_cpu_us'):6.1f}  {row.median('server_cpu_us'):6.1f}"
            f"  {row.median('p50_us'):9,.1f}  {row.median('p99_us'):9,.1f}"
        )
        for name in () if row is floor else ("calls_per_second", "p50_us"):
            ratios = row.ratios(floor, name)
            line += f"  {median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        lines.append(line)
    return "\n".join(lines)
