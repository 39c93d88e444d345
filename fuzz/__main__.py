"""``python -m fuzz``: see :mod:`fuzz`."""

from __future__ import annotations

import argparse
import random
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from fuzz.engine import Finding, check, fuzz
from fuzz.targets import TARGETS

FINDINGS = Path(__file__).parent / "findings"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status is 1 if there was a finding."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz what reads the bytes of peers.")
    parser.add_argument("target", nargs="*", help=f"one of {', '.join(TARGETS)}; default: all, in turn")
    parser.add_argument("--seconds", type=float, default=60, help="of each target; default: %(default)s")
    parser.add_argument("--seed", type=int, help="of an earlier run, to repeat it")
    parser.add_argument("--grow", action="store_true", help="keep inputs that behaved in a new way")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one input, a finding's file")
    options = parser.parse_args(arguments)
    unknown = set(options.target) - TARGETS.keys()
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    first_seed = random.randrange(2**32) if options.seed is None else options.seed
    status = 0
    for name in options.target or TARGETS:
        target = TARGETS[name]
        try:
            if options.replay is not None:
                print(f"{name}: {check(target, options.replay.read_bytes())}")
                continue
            inputs, new = fuzz(target, options.seconds, first_seed)
        except Finding as finding:
            status = 1
            traceback.print_exception(finding)
            FINDINGS.mkdir(exist_ok=True)
            path = FINDINGS / finding.name
            path.write_bytes(finding.data)
            print(f"{name}: FOUND; to repeat it: python -m fuzz --replay {path} {name}", flush=True)
            continue
        print(f"{name}: {inputs} inputs, {len(new)} of them new in kind (seed {first_seed})", flush=True)
        if options.grow:
            target.keep(new)
    return status


if __name__ == "__main__":
    sys.exit(main())
