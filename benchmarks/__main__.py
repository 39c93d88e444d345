"""``python -m benchmarks``: measure, print, and keep the figures in ``benchmarks/results``.

Without arguments a minute of calls beside the floor; ``all`` of it, or the parts that are named.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from benchmarks import anatomy, harness, joining, memory, results, start_up, targets
from benchmarks.results import Results
from benchmarks.suites import CALLS, CONTENT, LARGE, SUITES, WAYS, Suite

#: What is looked at before a release.
WATCHED = [CALLS.name, LARGE.name, WAYS.name, CONTENT.name]


def measure(suite: Suite, rounds: int, seconds: float) -> Results:
    """Run one suite, and print its table."""
    print(f"\n{suite.about}\n")
    rows = harness.run(suite.contenders, suite.cases, rounds, seconds * suite.longer)
    print("\n".join([harness.table(rows), "", *suite.notes]), flush=True)
    return Results({suite.name: rows}, notes=suite.notes)


def _figures(found: Results) -> str:
    return results.figures_table(found.figures.values())


def told(
    about: str, measured: Callable[[int], Results], rounds: int, table: Callable[[Results], str] = _figures
) -> Results:
    """Measure what has figures, and print them."""
    print(f"\n{about}\n")
    found = measured(rounds)
    print("\n".join([table(found), *found.notes]), flush=True)
    return found


def parts(rounds: int, seconds: float) -> dict[str, Callable[[], Results]]:
    """All that can be measured, by name, in its order."""
    few = min(rounds, 3)
    return {
        **{suite.name: partial(measure, suite, rounds, seconds) for suite in SUITES},
        "anatomy": partial(told, "what a call is made of", anatomy.measure, rounds, anatomy.table),
        "joining": partial(told, "a thousand servers join a cluster", joining.measure, few),
        "memory": partial(told, "memory of idle connections and pending calls", memory.measure, few),
        "start-up": partial(told, "how long it takes to start", start_up.measure, few),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status is 1 if a contender failed, or with ``--check`` if a target is far out of reach."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=float, default=0.25, help="of each measurement; default: %(default)s"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help=f"what a release needs: fail if a target is missed by a factor of {targets.MARGIN}",
    )
    known = parts(0, 0)
    parser.add_argument(
        "part", nargs="*", metavar="PART", help=f"all, {', '.join(known)}; default: {CALLS.name}"
    )
    options = parser.parse_args(arguments)
    names = WATCHED if options.check else options.part or [CALLS.name]
    if "all" in names:
        names = list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"there is no part {unknown[0]!r}, but all, {', '.join(known)}")
    measuring = parts(options.rounds, options.seconds)
    found = Results()
    failed = False
    try:
        for name in names:
            try:
                part = measuring[name]()
            except harness.BenchmarkError as error:
                print(f"{name}: {error}", file=sys.stderr)
                failed = True
                continue
            part.save(results.FOLDER / f"{name}.json")
            found.update(part)
    except KeyboardInterrupt:
        print("interrupted; what was measured until now:", file=sys.stderr)
        failed = True
    return conclude(found, check=options.check) or int(failed)


def conclude(found: Results, *, check: bool) -> bool:
    """Print the targets that were measured, each with ours beside it; whether that fails the check."""
    print(f"\n{found.machine}; every round is in {results.FOLDER}\n")
    measured = [target for target in targets.TARGETS if target.measured(found)]
    if measured:
        print(targets.table(found, measured))
    if not check:
        return False
    wrong = targets.far_missed(found, results.load(results.SHOWN))
    print("\n".join(["", *wrong]) if wrong else "\nNothing is far from its target or from what is shown.")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
