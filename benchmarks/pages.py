"""``python -m benchmarks.pages``: what ``make bench-all`` has measured, for ``docs/performance.rst`` to show.

It keeps the results themselves there, too, and makes tables of them; no figure on that page is typed by hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from benchmarks import anatomy, results, targets
from benchmarks.results import SHOWN, Figure, Results
from benchmarks.steps import DEFERRED
from benchmarks.suites import CALLS, SUITES

FOLDER = SHOWN.parent

_UNITS = {"s": (1000, "ms"), "bytes": (1, "bytes")}


def _list_table(widths: Sequence[int], rows: Iterable[Sequence[str]]) -> str:
    """A table in reStructuredText; the first row is its head."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {' '.join(map(str, widths))}", ""]
    for first, *others in rows:
        lines += [f"   * - {first}".rstrip(), *(f"     - {other}".rstrip() for other in others)]
    return "".join(f"{line}\n" for line in lines)


def targets_table(found: Results) -> str:
    """Each target, and ours beside it."""
    rows = [("what", "target", "ours (lowest to highest round)", "")]
    for target in targets.TARGETS:
        values = target.measured(found)
        if values:
            ours = f"{_short(median(values))} ({_short(values[0])} to {_short(values[-1])})"
            rows.append(
                (target.what, target.text(), ours, "met" if target.met(median(values)) else "**missed**")
            )
        else:
            rows.append((target.what, target.text(), "not measured", ""))
    return _list_table([46, 24, 22, 8], rows)


def calls_table(found: Results) -> str:
    """Calls beside the floor, in all figures."""
    rows: list[Sequence[str]] = [
        ("workload", "in flight", "", "calls/s", "CPU client, µs", "CPU server, µs", "p50, µs", "p99, µs")
    ]
    for row in found.rows[CALLS.name]:
        names = ("calls_per_second", "client_cpu_us", "server_cpu_us", "p50_us", "p99_us")
        rows.append(
            (row.workload, str(row.depth), row.contender, *(_short(row.median(name)) for name in names))
        )
    return _list_table([14, 10, 14, 14, 12, 12, 12, 12], rows)


def anatomy_table(found: Results) -> str:
    """What a call is made of, on both sides."""
    rows: list[Sequence[str]] = [("", "µs of CPU per call", *anatomy.CONTENDERS)]
    for side, what, costs in anatomy.rows(found):
        cells = [what, *(f"{cost:.2f}" for cost in costs)]
        rows.append((side, *(f"**{cell}**" if what == anatomy.WHOLE else cell for cell in cells)))
    return _list_table([12, 64, 12, 12], rows)


def stages_table(found: Results) -> str:
    """What an interceptor adds to that."""
    rows: list[Sequence[str]] = [("", "µs of CPU per call", "added")]
    for side, what, (cost,) in anatomy.rows(found, [anatomy.STAGES]):
        cells = [what, f"{cost:.2f}"]
        rows.append((side, *(f"**{cell}**" if what == anatomy.WHOLE else cell for cell in cells)))
    return _list_table([12, 76, 12], rows)


def figures_table(*names: str) -> Callable[[Results], str]:
    """The figures whose names begin so."""

    def table(found: Results) -> str:
        rows = [("what", "median", "lowest to highest")]
        rows += [(each.name, *_told(each)) for each in found.figures.values() if each.name.startswith(names)]
        return _list_table([50, 20, 30], rows)

    return table


def _told(figure: Figure) -> tuple[str, str]:
    factor, unit = _UNITS[figure.unit]
    low, middle, high = (
        _short(value * factor) for value in (min(figure.values), figure.median, max(figure.values))
    )
    return f"{middle} {unit}", f"{low} to {high}"


def words(found: Results) -> str:
    """What the page's text says of the run."""
    rounds = len(found.rows[CALLS.name][0].rounds)
    said = {"machine": found.machine, "rounds": str(rounds)}
    for name, contender in (("floor", "floor"), ("reactor", "on reactor"), ("workers", "in workers")):
        row = found.row(CALLS.name, "echo 20", 40, contender)
        assert row is not None
        said[f"{name} calls"] = f"{row.median('calls_per_second'):,.0f}"
        said[f"{name} cpu"] = _short(row.median("cpu_us"))
    said |= {name: f"{value:.2f}" for name, value in anatomy_words(found).items()}
    return "".join(f".. |{name}| replace:: {value}\n" for name, value in said.items())


def anatomy_words(found: Results) -> dict[str, float]:
    """What the page's text says of what a call is made of, in µs."""
    floor = {side: anatomy.cost(found, side, "floor") for side in anatomy.SIDES}
    return {
        "client": anatomy.cost(found, "client", "slacker"),
        "deferred": anatomy.cost(found, "client", "slacker", DEFERRED),
        "floor client": floor["client"],
        "floor ends": sum(floor.values()),
        "room": sum(floor.values()) / 0.8,  # the target of calls on the reactor
    }


def _short(value: float) -> str:
    """Three digits that count."""
    return f"{float(f'{value:.3g}'):,g}"


#: By the name of the file, which the page includes.
TABLES: dict[str, Callable[[Results], str]] = {
    "targets.txt": targets_table,
    "calls.txt": calls_table,
    "anatomy.txt": anatomy_table,
    "stages.txt": stages_table,
    "joining.txt": figures_table("1,000 servers"),
    "memory.txt": figures_table("idle connection", "pending call"),
    "start-up.txt": figures_table("start-up"),
    "notes.txt": lambda found: "".join(f"- {note}\n" for note in found.notes),
    "words.txt": words,
}


def write(found: Results) -> None:
    """Write the tables, and draw the pictures."""
    from benchmarks import pictures  # matplotlib is in make bench's environment alone

    FOLDER.mkdir(exist_ok=True)
    SHOWN.write_text(json.dumps(found.as_json(4), separators=(",", ":")) + "\n", encoding="utf-8")
    shown = results.load(SHOWN)
    for name, table in TABLES.items():
        (FOLDER / name).write_text(table(shown), encoding="utf-8")
    pictures.draw(shown, FOLDER)


def main() -> int:
    found = Results()
    for name in [*(suite.name for suite in SUITES), "anatomy", "joining", "memory", "start-up"]:
        path = results.FOLDER / f"{name}.json"
        if not path.exists():
            print(f"{path} is missing: make bench-all measures everything", file=sys.stderr)
            return 1
        part = results.load(path)
        found.update(part)
        found.machine = part.machine
    write(found)
    print(f"written: {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
