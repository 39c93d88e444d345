"""What a contender's two processes have in common.

Each is told what to do by lines of JSON on its standard input, answers each with one on its standard output,
and ends when its input ends, so that none outlives the run. A contender is a module with a :class:`Contender`
that it hands to :func:`main`; everything else, the load too, is the same for all.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Any, Protocol, TypeAlias

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from benchmarks.workloads import Tally, cpu_seconds, workload

#: Called with a call's result and the time at which it began.
Finish: TypeAlias = Callable[[Any, float], None]

#: Begins a call: the function's name in ``NAMESPACE``, its arguments, whom to tell, and the time.
Call: TypeAlias = Callable[[str, list[Any], Finish, float], None]


def failed(failure: Failure) -> None:
    """A call failed, which none may: say why, and end the run."""
    from twisted.internet import reactor

    if reactor.running:  # and not stopped already by the first of them
        print(f"a call failed: {failure.getErrorMessage()}", file=sys.stderr)
        reactor.stop()


class Contender(Protocol):
    """One way to call a function in another process."""

    def serve(self) -> Deferred[Any]:
        """Listen on free ports of 127.0.0.1; fires with what :meth:`connect` needs to know, for JSON."""

    def connect(self, where: Any) -> Deferred[Call]:
        """Connect to it; fires, when calls can be made, with what makes one."""


class Window:
    """Keeps ``depth`` calls in flight for ``seconds``: each that ends begins the next."""

    def __init__(self, call: Call, name: str, depth: int, seconds: float) -> None:
        what = workload(name)
        self._function, self._args, self._is_right = what.function, what.args, what.is_right
        self._call = call
        self._depth = self._open = depth
        self._seconds = seconds
        self._done: Deferred[dict[str, float]] = Deferred()

    def run(self) -> Deferred[dict[str, float]]:
        """Fires with the result of a :class:`Tally`."""
        self._call(self._function, self._args, self._begin, perf_counter())
        return self._done

    def _begin(self, value: Any, _: float) -> None:
        if not self._is_right(value):
            self._done.errback(Failure(RuntimeError(f"{self._function} answered {str(value)[:200]}")))
            return
        self._tally = Tally(self._seconds)
        self._ended = self._tally.ended
        for _ in range(self._depth):
            self._call(self._function, self._args, self._finish, perf_counter())

    def _finish(self, _: Any, started: float) -> None:
        if now := self._ended(started):
            self._call(self._function, self._args, self._finish, now)
            return
        self._open -= 1
        if not self._open:
            self._done.callback(self._tally.result())


class Orders(LineOnlyReceiver):
    """Answers each line of the standard input with what ``obey`` makes of it."""

    delimiter = b"\n"

    def __init__(self, obey: Callable[[dict[str, Any]], Deferred[Any]], stop: Callable[[], None]) -> None:
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


def open_files() -> int:
    """How many files and sockets this process may have open, after its limit was raised as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def obeying(obey: Callable[[dict[str, Any]], Deferred[Any]], start: Callable[[], Deferred[Any]]) -> None:
    """Run the reactor until the standard input ends: begin with ``start``, print its answer, then obey.

    What is loaded then is kept from the garbage collector, as ``twistd slacker`` keeps it.
    """
    from twisted.internet import reactor

    open_files()

    def stop() -> None:
        if reactor.running:
            reactor.stop()

    def begin() -> None:
        orders = Orders(obey, stop)
        StandardIO(orders)
        maybeDeferred(start).addCallback(loaded).addCallbacks(orders.answer, orders.fail)

    def loaded(answer: Any) -> Any:
        gc.collect()
        gc.freeze()
        return answer

    reactor.callWhenRunning(begin)
    reactor.run()


def command_line(contenders: Iterable[str]) -> argparse.Namespace:
    """``contender``, one of these, and ``where``: None for its server, else what that has printed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", choices=contenders)
    parser.add_argument("where", nargs="?", type=json.loads, help="is the server; without it, be the server")
    return parser.parse_args()


def main(contenders: Mapping[str, Callable[[], Contender]]) -> None:
    """``<contender>`` is its server and prints where it is; ``<contender> WHERE`` its client: 0, once ready.

    Orders are ``{}`` to a server, answered with its CPU seconds, and to a client workload, depth and seconds
    of a :class:`Window`.
    """
    options = command_line(contenders)
    contender = contenders[options.contender]()
    calls: list[Call] = []

    def obey(order: dict[str, Any]) -> Deferred[Any]:
        if not calls:
            return succeed({"cpu": cpu_seconds()})
        return Window(calls[0], order["workload"], order["depth"], order["seconds"]).run()

    def connected(call: Call) -> int:
        calls.append(call)
        return 0

    def start() -> Deferred[Any]:
        if options.where is None:
            return contender.serve()
        return contender.connect(options.where).addCallback(connected)

    obeying(obey, start)
