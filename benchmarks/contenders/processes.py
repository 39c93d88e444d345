"""Server processes as twistd runs them, with ``--workers``, and a cluster's client."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed

from benchmarks.contenders.client import calling
from benchmarks.contenders.cluster import all_connected
from benchmarks.worker import Call, Contender, main
from slacker import ClusterClient

_CLUSTER = "benchmark"
_TWISTD = str(Path(sys.executable).with_name("twistd"))


class Processes:
    """So many of them, under one supervisor, which runs ZooKeeper too."""

    def __init__(self, count: int) -> None:
        self._count = count

    def serve(self) -> Deferred[Any]:
        from twisted.internet import reactor

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        command = [_TWISTD, "-n", "--pidfile=", "slacker", "--expose", "benchmarks.workloads:EXPOSED"]
        command += ["--listen", "tcp:0:interface=127.0.0.1", "--workers", str(self._count)]
        command += ["--cluster", _CLUSTER, "--zk", f"embedded:{port}"]
        # Its own session, so that all of them can be ended at once, whatever they do.
        twistd = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        reactor.addSystemEventTrigger("after", "shutdown", _end, twistd)
        return succeed(f"127.0.0.1:{port}")

    def connect(self, where: Any) -> Deferred[Call]:
        return Deferred.fromCoroutine(self._connect(ClusterClient(_CLUSTER, where)))

    async def _connect(self, client: ClusterClient) -> Call:
        await all_connected(client, self._count)
        return await calling(client.call)


def _end(twistd: subprocess.Popen[bytes]) -> None:
    os.killpg(twistd.pid, signal.SIGKILL)
    twistd.wait()


CONTENDERS: dict[str, Callable[[], Contender]] = {str(count): partial(Processes, count) for count in (1, 2)}

if __name__ == "__main__":
    main(CONTENDERS)
