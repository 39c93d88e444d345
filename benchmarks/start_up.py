"""How long it takes to start: ``import slacker``, and a server with twistd until it accepts a connection."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import ROOT, BenchmarkError
from benchmarks.results import Figure, Results

_TWISTD = str(Path(sys.executable).with_name("twistd"))
#: Seconds in which a server has to listen.
_PATIENCE = 30.0
_PAUSE = 0.002


def measure(rounds: int) -> Results:
    """Once more than ``rounds``, and the first time does not count: it fills caches."""
    runs = {
        "import slacker": lambda: _run("import slacker") - _run("pass"),
        "import twisted.internet.reactor": lambda: _run("import twisted.internet.reactor") - _run("pass"),
        "twistd server": _twistd,
    }
    values: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            values[name].append(run())
    found = Results()
    for name, (_, *counted) in values.items():
        found.add(Figure(f"start-up, {name}", "s", counted))
    return found


def _run(program: str) -> float:
    """Seconds that a Python program takes, from start to end."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    return time.perf_counter() - started


def _twistd() -> float:
    """Seconds until a server that twistd runs accepts a connection."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [_TWISTD, "-n", "--pidfile=", "slacker", "--expose", "json"]
    started = time.perf_counter()
    server = subprocess.Popen(
        [*command, "--listen", f"tcp:{port}:interface=127.0.0.1"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        while time.perf_counter() - started < _PATIENCE and server.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return time.perf_counter() - started
            time.sleep(_PAUSE)
    finally:
        server.kill()
        server.wait()
    raise BenchmarkError(f"a server of twistd did not listen within {_PATIENCE:g} s; see its output above")
