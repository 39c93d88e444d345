"""Bar charts and curves of what was measured, as small SVG files that come out the same each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib

matplotlib.use("svg")  # before pyplot is imported

from matplotlib import pyplot, ticker

from benchmarks.harness import Row
from benchmarks.results import Results
from benchmarks.suites import CALLS, CONTENT, IN_FLIGHT, KNOWN, OTHERS, SIZES, WAYS, known_servers
from slacker.cluster.grouping import ONE_SERVER

_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "slacker",  # the same names inside each time
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}
_COLOURS = {"floor": "#9a9a9a", "on reactor": "#1f6fb4", "in workers": "#e0812b"}
_CLIENT, _SERVER, _OTHER = "#7fb2dc", "#1f6fb4", "#9a9a9a"
_LINES = ["#1f6fb4", "#e0812b", "#3a923a", "#b8423a", "#7d5fa6", "#9a9a9a"]
_FLOOR_NAME = "floor (bare Twisted)"


@contextmanager
def _picture(path: Path, width: float, height: float, panels: int = 1) -> Iterator[list[Any]]:
    """Axes to draw on; what was drawn is written at the end."""
    with pyplot.rc_context(_STYLE):
        drawing, axes = pyplot.subplots(1, panels, figsize=(width, height), squeeze=False)
        try:
            yield list(axes[0])
            drawing.tight_layout()
            drawing.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        finally:
            pyplot.close(drawing)
    lines = path.read_text("utf-8").splitlines()
    path.write_text("".join(line.rstrip() + "\n" for line in lines), encoding="utf-8")


def _rows(results: Results, suite: str, workload: str, depth: int) -> list[Row]:
    return [row for row in results.rows[suite] if (row.workload, row.depth) == (workload, depth)]


def _spread(row: Row, name: str) -> tuple[float, float]:
    """From the median down to the lowest round and up to the highest."""
    values = [getattr(each, name) for each in row.rounds]
    return row.median(name) - min(values), max(values) - row.median(name)


def calls(results: Results, path: Path) -> None:
    """Calls per second beside the floor."""
    workloads = list(dict.fromkeys(workload for workload, _ in CALLS.cases))
    depths = list(dict.fromkeys(depth for _, depth in CALLS.cases))
    with _picture(path, 7.2, 2.9, len(workloads)) as panels:
        for panel, workload in zip(panels, workloads, strict=True):
            for place, contender in enumerate(CALLS.contenders):
                rows = [
                    row
                    for row in results.rows[CALLS.name]
                    if (row.workload, row.contender) == (workload, contender.name)
                ]
                panel.bar(
                    [index + 0.27 * (place - 1) for index in range(len(rows))],
                    [row.median("calls_per_second") / 1000 for row in rows],
                    0.25,
                    yerr=list(
                        zip(
                            *[[each / 1000 for each in _spread(row, "calls_per_second")] for row in rows],
                            strict=True,
                        )
                    ),
                    error_kw={"elinewidth": 0.7, "ecolor": "#444444"},
                    color=_COLOURS[contender.name],
                    label=_FLOOR_NAME if contender.name == "floor" else f"function {contender.name}",
                )
            panel.set_title(workload)
            panel.set_xticks(range(len(depths)), [f"{depth} in flight" for depth in depths])
            panel.grid(visible=False, axis="x")
            panel.set_ylabel("thousand calls/s")
        panels[0].legend(loc="upper left")


def others(results: Results, path: Path) -> None:
    """Calls per second beside other libraries."""
    rows = sorted(_rows(results, OTHERS.name, "echo 20", 40), key=lambda row: row.median("calls_per_second"))
    with _picture(path, 7.2, 0.3 * len(rows) + 0.8) as (panel,):
        _bars(panel, rows, [row.median("calls_per_second") for row in rows], "{:,.0f}")
        panel.set_xscale("log")
        panel.set_xlabel("calls/s, echo 20, 40 in flight (logarithmic)")


def content(results: Results, path: Path) -> None:
    """Content types beside the floor."""
    floor, *rows = _rows(results, CONTENT.name, "rand-ints 5", 40)
    rows.sort(key=lambda row: row.median("calls_per_second"))
    with _picture(path, 7.2, 0.3 * len(rows) + 0.8) as (panel,):
        middles = [median(row.ratios(floor, "calls_per_second")) for row in rows]
        _bars(panel, rows, middles, "{:.2f}")
        panel.set_xlabel("of the floor's calls/s, rand-ints 5, 40 in flight")


def _bars(panel: Any, rows: Sequence[Row], values: Sequence[float], form: str) -> None:
    names = [_FLOOR_NAME if row.contender == "floor" else row.contender for row in rows]
    ours = {"on reactor": "ours, on reactor", "in workers": "ours, in workers"}
    colours = [_COLOURS.get(row.contender, "#b9cfe2") for row in rows]
    bars = panel.barh([ours.get(name, name) for name in names], values, 0.7, color=colours)
    panel.bar_label(bars, [form.format(value) for value in values], padding=3)
    panel.margins(x=0.12)
    panel.grid(visible=False, axis="y")


def ways(results: Results, path: Path) -> None:
    """CPU of a call by the way it takes."""
    with _picture(path, 7.2, 2.9, 2) as panels:
        for panel, depth in zip(panels, (1, 40), strict=True):
            rows = [
                row for row in _rows(results, WAYS.name, "echo 20", depth) if row.contender != "all of 100"
            ]
            rows.reverse()
            names = [row.contender for row in rows]
            client = [row.median("client_cpu_us") for row in rows]
            panel.barh(names, client, 0.7, color=_CLIENT, label="client")
            server = [row.median("server_cpu_us") for row in rows]
            panel.barh(names, server, 0.7, left=client, color=_SERVER, label="server")
            panel.set_title(f"{depth} in flight")
            panel.set_xlabel("CPU per call, µs")
            panel.grid(visible=False, axis="y")
        panels[1].tick_params(labelleft=False)
        panels[1].legend(loc="upper right")


def in_flight(results: Results, path: Path) -> None:
    """CPU of a call beside calls in flight."""
    with _picture(path, 5.4, 3.2) as (panel,):
        _curves(panel, results.rows[IN_FLIGHT.name], lambda row: row.depth)
        panel.set_xlabel("calls in flight")


def sizes(results: Results, path: Path) -> None:
    """CPU of a call beside the size of its payload."""
    places = {workload: size for (workload, _), size in zip(SIZES.cases, _SIZES, strict=True)}
    with _picture(path, 5.4, 3.2) as (panel,):
        _curves(panel, results.rows[SIZES.name], lambda row: places[row.workload])
        panel.set_xticks(_SIZES, list(places))
        panel.xaxis.set_minor_locator(ticker.NullLocator())
        panel.set_xlabel("payload, there and back")


_SIZES = [20, 100, 1 << 10, 10 << 10, 100 << 10, 1 << 20]


def _curves(panel: Any, rows: Sequence[Row], place: Callable[[Row], float]) -> None:
    for name, colour in _COLOURS.items():
        own = [row for row in rows if row.contender == name]
        label = _FLOOR_NAME if name == "floor" else f"function {name}"
        panel.plot(
            [place(row) for row in own],
            [row.median("cpu_us") for row in own],
            "o-",
            ms=3,
            color=colour,
            label=label,
        )
    panel.set_xscale("log")
    panel.set_yscale("log")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    panel.set_ylabel("CPU per call, both sides, µs")
    panel.legend()


def known(results: Results, path: Path) -> None:
    """CPU of a call beside the servers that the client knows."""
    with _picture(path, 5.4, 3.2) as (panel,):
        for policy, colour in zip([*ONE_SERVER, "direct"], _LINES, strict=True):
            rows = results.rows[known_servers(policy).name]
            panel.plot(
                KNOWN,
                [row.median("cpu_us") for row in rows],
                "o--" if policy == "direct" else "o-",
                ms=3,
                color=colour,
                label="no cluster: clients in turn" if policy == "direct" else policy,
            )
        panel.set_xscale("log")
        panel.set_xticks(KNOWN, [f"{count:,}" for count in KNOWN])
        panel.xaxis.set_minor_locator(ticker.NullLocator())
        panel.set_ylim(bottom=0)
        panel.set_xlabel("servers that the client knows")
        panel.set_ylabel("CPU per call, both sides, µs")
        panel.legend(ncols=2, loc="lower center")


#: By the name of the file.
PICTURES: dict[str, Callable[[Results, Path], None]] = {
    "calls.svg": calls,
    "others.svg": others,
    "content.svg": content,
    "ways.svg": ways,
    "in-flight.svg": in_flight,
    "sizes.svg": sizes,
    "known.svg": known,
}


def draw(results: Results, folder: Path) -> None:
    """Draw all of them."""
    for name, draw_one in PICTURES.items():
        draw_one(results, folder / name)
