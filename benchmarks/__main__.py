"""``python -m benchmarks``: measure everything, print it, and keep the figures in ``benchmarks/results``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks import content, harness

CONTENDERS = [
    harness.Contender("floor", "benchmarks.floor", "floor"),
    harness.Contender("on reactor", "benchmarks.echo", "reactor"),
    harness.Contender("in workers", "benchmarks.echo", "workers"),
]
WORKLOADS = ["echo 20", "rand-ints 5"]
DEPTHS = [1, 40, 500]

_RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Under a minute with the default options; the exit status is that of the content types' own goals."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=float, default=0.25, help="of each measurement; default: %(default)s"
    )
    options = parser.parse_args()
    try:
        rows = harness.run(CONTENDERS, WORKLOADS, DEPTHS, options.rounds, options.seconds)
    except harness.BenchmarkError as error:
        raise SystemExit(str(error)) from None
    print(harness.table(rows))
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / "echo.json"
    path.write_text(json.dumps(harness.report(rows), indent=1) + "\n", encoding="utf-8")
    print(f"\nEvery round is in {path}\n")
    return content.main()


if __name__ == "__main__":
    sys.exit(main())
