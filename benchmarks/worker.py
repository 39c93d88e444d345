"""What a contender's two processes have in common.

Each is told what to do by lines of JSON on its standard input, answers each with one on its standard output,
and ends when its input ends, so that none outlives the run. A contender is a module with a :class:`Contender`
that it hands to :func:`main`; everything else, the load too, is the same for all.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol, TypeAlias

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

NAMESPACE = "slacker.example.api"

#: Called with a call's result and the time at which it began.
Finish: TypeAlias = Callable[[Any, float], None]

#: Begins a call: the function's name in :data:`NAMESPACE`, its arguments, whom to tell, and the time.
Call: TypeAlias = Callable[[str, list[Any], Finish, float], None]


def echo(value: object) -> object:
    """What every contender serves: the argument itself ..."""
    return value


def rand_ints(count: int) -> list[int]:
    """... and a short list of small numbers."""
    return [random.randrange(1000) for _ in range(count)]


#: Name of the function on the wire, its arguments, and whether an answer is right.
WORKLOADS: dict[str, tuple[str, list[Any], Callable[[Any], bool]]] = {
    "echo 20": ("echo", ["abcdefghijklmnopqrst"], lambda value: bool(value == "abcdefghijklmnopqrst")),
    "rand-ints 5": ("rand-ints", [5], lambda value: len(value) == 5),
}


class Contender(Protocol):
    """One way to call a function in another process."""

    def serve(self) -> Deferred[int]:
        """Listen on a free port of 127.0.0.1; fires with its number."""

    def connect(self, port: int) -> Deferred[Call]:
        """Connect to it; fires, when calls can be made, with what makes one."""


class Window:
    """Keeps ``depth`` calls in flight for ``seconds``: each that ends begins the next."""

    def __init__(self, call: Call, workload: str, depth: int, seconds: float) -> None:
        self._function, self._args, self._is_right = WORKLOADS[workload]
        self._call = call
        self._depth = self._open = depth
        self._seconds = seconds
        self._latencies: list[float] = []
        self._done: Deferred[dict[str, float]] = Deferred()

    def run(self) -> Deferred[dict[str, float]]:
        """Fires with calls, seconds, CPU seconds of this process, and latencies in seconds (p50, p99)."""
        self._call(self._function, self._args, self._begin, perf_counter())
        return self._done

    def _begin(self, value: Any, _: float) -> None:
        if not self._is_right(value):
            self._done.errback(Failure(RuntimeError(f"{self._function} answered {value!r}")))
            return
        self._cpu = cpu_seconds()
        self._started = perf_counter()
        self._deadline = self._started + self._seconds
        for _ in range(self._depth):
            self._call(self._function, self._args, self._finish, perf_counter())

    def _finish(self, _: Any, started: float) -> None:
        now = perf_counter()
        self._latencies.append(now - started)
        if now < self._deadline:
            self._call(self._function, self._args, self._finish, now)
            return
        self._open -= 1
        if not self._open:
            latencies = sorted(self._latencies)
            self._done.callback(
                {
                    "calls": len(latencies),
                    "seconds": now - self._started,
                    "cpu": cpu_seconds() - self._cpu,
                    "p50": latencies[len(latencies) // 2],
                    "p99": latencies[len(latencies) * 99 // 100],
                }
            )


def cpu_seconds() -> float:
    """What this process, all its threads included, has used so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class _Orders(LineOnlyReceiver):
    delimiter = b"\n"

    def __init__(
        self, obey: Callable[[dict[str, Any]], Deferred[dict[str, float]]], stop: Callable[[], None]
    ) -> None:
        self._obey = obey
        self._stop = stop

    def lineReceived(self, line: bytes) -> None:
        self._obey(json.loads(line)).addCallbacks(self.answer, self.fail)

    def answer(self, result: object) -> None:
        assert self.transport is not None
        self.transport.write(json.dumps(result).encode() + b"\n")

    def fail(self, failure: Failure) -> None:
        failure.printTraceback(sys.stderr)
        self._stop()

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._stop()


def main(contenders: dict[str, Callable[[], Contender]]) -> None:
    """``<contender>`` is its server and prints its port; ``<contender> PORT`` its client: 0, once connected.

    Orders are ``{}`` to a server, answered with its CPU seconds, and :class:`Window`'s arguments to a client.
    """
    from twisted.internet import reactor

    parser = argparse.ArgumentParser()
    parser.add_argument("contender", choices=contenders)
    parser.add_argument("port", nargs="?", type=int, help="of the server; without it, be the server")
    options = parser.parse_args()
    contender = contenders[options.contender]()
    calls: list[Call] = []

    def obey(order: dict[str, Any]) -> Deferred[dict[str, float]]:
        return Window(calls[0], **order).run() if calls else succeed({"cpu": cpu_seconds()})

    def connected(call: Call) -> int:
        calls.append(call)
        return 0

    def stop() -> None:
        if reactor.running:
            reactor.stop()

    def start() -> None:
        orders = _Orders(obey, stop)
        StandardIO(orders)
        if options.port is None:
            ready = maybeDeferred(contender.serve)
        else:
            ready = maybeDeferred(contender.connect, options.port).addCallback(connected)
        ready.addCallbacks(orders.answer, orders.fail)

    reactor.callWhenRunning(start)
    reactor.run()
