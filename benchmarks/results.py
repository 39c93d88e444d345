"""What was measured: kept as JSON, one file for each part of the benchmark."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from attrs import asdict, define, field

from benchmarks.harness import ROOT, Measurement, Row

FOLDER = Path(__file__).parent / "results"
#: What was measured, as the documentation shows it.
SHOWN = ROOT / "docs" / "performance" / "results.json"


def _machine() -> str:
    python = f"Python {platform.python_version()}"
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {python}"


@define
class Figure:
    """One thing that was measured several times, and its unit."""

    name: str
    unit: str
    values: list[float]

    @property
    def median(self) -> float:
        return float(median(self.values))


@define
class Results:
    """Everything that one part of the benchmark measured, or several.

    :ivar machine: what it was measured on.
    :ivar notes: what a reader should know, like what could not be measured.
    """

    rows: dict[str, list[Row]] = field(factory=dict)
    figures: dict[str, Figure] = field(factory=dict)
    notes: list[str] = field(factory=list)
    machine: str = field(factory=_machine)

    def row(self, suite: str, workload: str, depth: int, contender: str) -> Row | None:
        """The row of a suite, if it was measured."""
        for row in self.rows.get(suite, []):
            if (row.workload, row.depth, row.contender) == (workload, depth, contender):
                return row
        return None

    def add(self, figure: Figure) -> None:
        """Keep a figure."""
        self.figures[figure.name] = figure

    def update(self, others: Results) -> None:
        """Take in what these hold; for the same thing, they count."""
        self.rows.update(others.rows)
        self.figures.update(others.figures)
        self.notes += [note for note in others.notes if note not in self.notes]

    def save(self, path: Path) -> None:
        """Write them as JSON, every round."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(self.as_json(6), indent=1) + "\n", encoding="utf-8")

    def as_json(self, digits: int) -> dict[str, Any]:
        """All of it, each number with so many digits that count."""

        def rounded(_: type, __: Any, value: Any) -> Any:
            return float(f"{value:.{digits}g}") if isinstance(value, float) else value

        return asdict(self, value_serializer=rounded)


def load(path: Path) -> Results:
    """Read what :meth:`Results.save` wrote."""
    data = json.loads(path.read_text("utf-8"))
    return Results(
        {
            suite: [Row(**{**row, "rounds": [Measurement(**each) for each in row["rounds"]]}) for row in rows]
            for suite, rows in data["rows"].items()
        },
        {name: Figure(**figure) for name, figure in data["figures"].items()},
        data["notes"],
        data["machine"],
    )


def figures_table(figures: Iterable[Figure]) -> str:
    """A line for each figure: the median, lowest and highest."""
    lines = [f"{'what':48} {'median':>11} {'lowest':>11} {'highest':>11}  unit"]
    lines += [
        f"{each.name:48} {each.median:11,.4g} {min(each.values):11,.4g} {max(each.values):11,.4g}"
        f"  {each.unit}"
        for each in figures
    ]
    return "\n".join(lines)
