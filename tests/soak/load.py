"""A client process: ``python -m tests.soak.load ZK CLUSTER NAMESPACE/FUNCTION [options as JSON]``.

So many callers call one function again and again. SIGUSR1 makes it print a report of what happened since
the last one, as a line of JSON; SIGTERM lets the calls that run end, prints a last report, and ends the
process.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater, react

from slacker import ClusterClient

CALLERS = 25
PAUSE = 0.01  # seconds between two calls of one caller


class Load:
    """Callers of one function, and what became of their calls."""

    def __init__(self, reactor: Any, call: Any) -> None:
        self.stopping = False
        self._reactor = reactor
        self._call = call
        self._answered = 0
        self._by_answer: Counter[str] = Counter()
        self._failures: list[tuple[float, str, str]] = []
        self._slowest = 0.0

    async def run(self) -> None:
        """Call until stopping."""
        await DeferredList([Deferred.fromCoroutine(self._caller()) for _ in range(CALLERS)])

    async def _caller(self) -> None:
        while not self.stopping:
            began = time.time()
            try:
                answer = await self._call()
            except Exception as error:
                self._failures.append((began, type(error).__name__, str(error)))
            else:
                self._answered += 1
                self._by_answer[str(answer)] += 1
                self._slowest = max(self._slowest, time.time() - began)
            await deferLater(self._reactor, PAUSE)

    def report(self) -> None:
        """Print what happened since the last report; the times of failures are those when the calls began."""
        told = {
            "answered": self._answered,
            "by_answer": self._by_answer,
            "failures": self._failures[:100],
            "failed": len(self._failures),
            "slowest": self._slowest,
        }
        print("report", json.dumps(told), flush=True)
        self._answered, self._slowest = 0, 0.0
        self._by_answer, self._failures = Counter(), []


async def main(reactor: Any, zk: str, cluster: str, function: str, options: str = "{}") -> None:
    client = ClusterClient(cluster, zk, keepalive=2.0)
    call = client.function(function, **json.loads(options))
    await call()
    load = Load(reactor, call)

    def on_signal(number: int, _: object) -> None:
        if number == signal.SIGTERM:
            load.stopping = True
        else:
            reactor.callFromThread(load.report)

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGUSR1, on_signal)
    print("calling", flush=True)
    await load.run()
    load.report()
    await client.close()


if __name__ == "__main__":
    react(main, sys.argv[1:])
