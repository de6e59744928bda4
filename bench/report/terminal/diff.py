"""Two runs, or the repeats of two cells, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.report.charts.chart import ChartAxis, ChartSeries, ReferenceLine, XYChart
from bench.report.charts.epochs import epoch_points, quality_name
from bench.report.charts.scale import accuracies, scale_of, times
from bench.report.terminal.chart import chart_lines
from bench.report.terminal.diff_rows import DiffRow, parts
from bench.report.terminal.diff_side import DiffSide
from bench.runs.disturbed import disturbed
from bench.runs.labels import flat, hardware, show
from bench.runs.readings import readings
from bench.runs.run import NOT_IDENTITY, Run
from bench.scores.rules.timing import number
from bench.statistics import LEAST_FOR_INTERVAL
from bench.statistics.two_sides import TwoSides, two_sides
from bench.text import units
from bench.text.console import say
from bench.text.fitting import fits, print_table

MOST_WIDTH = 100
AGAINST = ("B against A", "95 % interval", "differs")


def print_diff(console: Console, a: DiffSide, b: DiffSide) -> None:
    """Print both sides, what differs, the tables of figures, phases and memory, and the curves."""
    for side in (a, b):
        say(console, side.told)
    _print_settings(console, a, b)
    for title, rows in parts(a, b):
        _print_table(console, a, b, title, rows)
    if chart := _curves(a, b):
        for line in chart_lines(chart, min(console.width, MOST_WIDTH)):
            say(console, line)
    for line in _notes(a, b):
        say(console, line)


def _print_table(console: Console, a: DiffSide, b: DiffSide, title: str, rows: Sequence[DiffRow]) -> None:
    """A row a figure; in a narrow terminal each margin and interval stands below its value."""
    wide = _table(title, (a.heading, b.heading, *AGAINST), rows)
    if not console.is_terminal or fits(wide, console.width):
        print_table(console, wide)
        return
    low = [(label, *(one.replace(" ± ", "\n± ") for one in of), f"{value}\n{ends}".strip(), seen)
           for label, *of, value, ends, seen in rows]  # fmt: skip
    headings = (one.heading.replace(" on ", "\non ") for one in (a, b))
    print_table(console, _table(title, (*headings, f"{AGAINST[0]}\n{AGAINST[1]}", AGAINST[2]), low), (AGAINST[2],))


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table("", *headings, title=title)
    table.title_justify = "left"
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _print_settings(console: Console, a: DiffSide, b: DiffSide) -> None:
    settings = _differences(_settings(a.first), _settings(b.first))
    if settings:
        table = Table("setting", "A", "B", title="Settings that differ")
        table.title_justify = "left"
        for key, first, second in settings:
            table.add_row(Text(key), Text(first), Text(second))
        print_table(console, table)
    else:
        say(console, "No setting differs.")
    origins = _origin(a.first), _origin(b.first)
    if a.first.machine.get("id") == b.first.machine.get("id"):
        origins[1]["machine"] = origins[0]["machine"]  # a label is no difference
    for key, first, second in _differences(*origins):
        say(console, f"Also differs: {key}: {first} in A, {second} in B")


def _settings(run: Run) -> dict[str, Any]:
    config = {key: value for key, value in run.config.items() if key not in (*NOT_IDENTITY, "resolved")}
    return {"recipe": run.recipe, **flat(config)}


def _origin(run: Run) -> dict[str, Any]:
    """Of what code, data, machine and versions a run is."""
    code, data = run.code, run.data
    changed = " with uncommitted changes" if code.get("dirty") else ""
    return {
        "commit": f"{str(code.get('commit') or '')[:12]}{changed}",
        "sources": str(code.get("sources_sha256") or "")[:12],
        "data": f"{data.get('name') or ''} {str(data.get('fingerprint') or '')[:12]}".strip(),
        "machine": f"{hardware(run)} ({run.machine.get('id')})",
        **{f"version of {name}": version for name, version in run.versions.items()},
    }


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    keys = dict.fromkeys([*first, *second])
    return [(key, _value(first.get(key)), _value(second.get(key))) for key in keys if first.get(key) != second.get(key)]


def _value(value: Any) -> str:
    return units.MISSING if value in (None, "") else show(value)


def _curves(a: DiffSide, b: DiffSide) -> XYChart | None:
    """The accuracy, or the quality by which both are judged, against the training time."""
    quality = quality_name(a.first) if quality_name(a.first) == quality_name(b.first) else None
    name = quality or "accuracy"
    lines = [tuple(points for run in side.finished if (points := epoch_points(run, name))) for side in (a, b)]
    if not all(lines):
        return None
    every = [point for of in lines for line in of for point in line]
    target = "target_quality" if quality else "target_accuracy"
    known = sorted({one for side in (a, b) for run in side.finished if (one := number(run, target)) is not None})
    values = [*(value for _, value in every), *known]
    return XYChart(
        "diff",
        f"{name.replace('_', ' ')} against training time",
        "A line is a run.",
        ChartAxis("training time", times(time_s for time_s, _ in every)),
        ChartAxis(name.replace("_", " "), scale_of(name, values) if quality else accuracies(values, known)),
        tuple(
            ChartSeries(f"{side} (n = {len(of)})", of, place, "both")
            for place, (side, of) in enumerate(zip("AB", lines, strict=True))
        ),
        tuple(ReferenceLine(one, f"target {one:g}" if quality else f"target {units.percent(one)}") for one in known),
    )


def _notes(a: DiffSide, b: DiffSide) -> list[str]:
    """What must be known before the figures are believed."""
    notes = []
    sides = two_sides(*(readings(side.finished, [0.0] * len(side.finished)) for side in (a, b)))
    if a.first.machine.get("id") != b.first.machine.get("id"):
        notes.append("The two were made on different machines: their times say nothing of the settings.")
    elif sides.by_host:
        notes.append(_hosts_told(a, b, sides))
    for side in (a, b):
        if told := disturbed(side.runs):
            notes.append(f"{side.name} was contended: {told}")
    if min(len(sides.a), len(sides.b)) < LEAST_FOR_INTERVAL:
        unit = "hosts" if sides.by_host else "finished runs"
        notes.append(f"Fewer than {LEAST_FOR_INTERVAL} {unit} of each: the differences have no interval.")
    else:
        notes.append("Each interval stands for itself: of many figures, one in twenty differs by chance alone.")
    return notes


def _hosts_told(a: DiffSide, b: DiffSide, sides: TwoSides) -> str:
    """How runs of several hosts are compared."""
    if sides.paired:
        return f"Runs of several hosts: each counts once. B against A is of the {len(sides.a)} that ran both, in pairs."
    if not a.hosts & b.hosts:
        return "No host ran both: what differs may be the hosts, and not the settings. Each host counts once."
    return "Runs of several hosts: each counts once. Hosts that ran only one side make the difference less certain."
