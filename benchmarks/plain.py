"""A contender's two processes where no Twisted reactor drives them: what they are told, and how they load.

Nothing here needs more than the standard library, because peers have environments of their own. Orders are
those of :mod:`benchmarks.worker`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from threading import Barrier
from typing import Any

from benchmarks.workloads import Tally, Workload, cpu_seconds, workload

#: Calls a function by its name in ``NAMESPACE``, with its arguments, and waits for the result.
Call = Callable[[str, list[Any]], Any]

#: Keeps so many calls of a workload in flight for so many seconds; the result is that of a ``Tally``.
Load = Callable[[Workload, int, float], dict[str, float]]

#: Seconds in which all threads have to be connected.
_PATIENCE = 15.0


def main(
    serve: Callable[[], Any],
    connect: Callable[[Any], Load],
    readline: Callable[[], str] = sys.stdin.readline,
) -> None:
    """Be the server, or with an address as the second argument its client, until the input ends.

    :param serve: begins to serve in the background, and returns what ``connect`` needs to know, for JSON.
    :param connect: makes the load of a client.
    :param readline: reads an order; it may let others run meanwhile.
    """
    with suppress(KeyboardInterrupt):
        load: Load | None = None
        answer: Any = 0
        if len(sys.argv) > 2:
            load = connect(json.loads(sys.argv[2]))
        else:
            answer = serve()
        print(json.dumps(answer), flush=True)
        while line := readline():
            answer = {"cpu": cpu_seconds()}
            if load is not None:
                order = json.loads(line)
                answer = load(workload(order["workload"]), order["depth"], order["seconds"])
            print(json.dumps(answer), flush=True)
    os._exit(0)  # without waiting for whatever runs in the background


def in_threads(connect: Callable[[], AbstractContextManager[Call]]) -> Load:
    """So many threads as calls are in flight, each with what ``connect`` gives it."""

    def load(what: Workload, depth: int, seconds: float) -> dict[str, float]:
        tallies: list[Tally] = []
        together = Barrier(depth, lambda: tallies.append(Tally(seconds)), _PATIENCE)

        def run() -> None:
            with connect() as call:
                check(what, call(what.function, what.args))
                together.wait()
                keep_calling(what, call, tallies[0])

        with ThreadPoolExecutor(depth) as pool:
            for ended in [pool.submit(run) for _ in range(depth)]:
                ended.result()
        return tallies[0].result()

    return load


def keep_calling(what: Workload, call: Call, tally: Tally) -> None:
    """One call after the other, until the time is over."""
    started = tally.began
    while started:
        call(what.function, what.args)
        started = tally.ended(started)


def check(what: Workload, value: Any) -> None:
    """A wrong answer ends the run."""
    if not what.is_right(value):
        raise RuntimeError(f"{what.function} answered {str(value)[:200]}")
