"""Two runs, or the repeats of two cells, side by side."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.report.charts.chart import ChartAxis, ChartSeries, ReferenceLine, XYChart
from bench.report.charts.epochs import epoch_points, quality_name
from bench.report.charts.scale import accuracies, is_share, scale_of, times
from bench.report.terminal.chart import chart_lines
from bench.report.terminal.summary import AT_BATCH_SIZE, FIGURES, NEGLIGIBLE_S, SPANS, span_s, summarise
from bench.runs.disturbed import disturbed
from bench.runs.labels import flat, hardware, show
from bench.runs.run import FINISHED, NOT_IDENTITY, Run
from bench.scores.rules.timing import number
from bench.statistics import LEAST_FOR_INTERVAL
from bench.statistics.shift import means_of_two
from bench.text import units
from bench.text.console import say
from bench.text.fitting import print_table

Show = Callable[[float | None], str]
Line = tuple[str, ...]
# Half of what a 95 % interval leaves out.
TAIL = 0.025
MOST_WIDTH = 100
# The columns that a narrow terminal loses.
OPTIONAL = ("95 % interval", "differs")
RESULTS: tuple[tuple[str, str, Show], ...] = (
    ("accuracy", "accuracy", units.percent),
    ("training loss", "loss", units.number),
    ("time to the target", "time_to_target_s", units.duration),
    ("training time", "train_s", units.duration),
    ("total time", "total_s", units.duration),
    ("samples/s, training", "samples_per_s", units.rate),
    ("epochs", "epochs", units.number),
    *FIGURES,
    ("energy, training", "train_energy_j", units.energy),
)
MEMORY: tuple[tuple[str, str, Show], ...] = (
    ("peak memory, host", "peak_host_bytes", units.size),
    ("peak memory, device", "peak_device_bytes", units.size),
    ("activations", "activation_bytes", units.size),
    ("parameters", "parameters", units.count),
    ("forward FLOP/example", "forward_flops_per_example", units.count),
)


@dataclass(frozen=True)
class DiffSide:
    """`A` or `B`: one run, or all repeats of a cell."""

    name: str
    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        return self.runs[0]

    @property
    def finished(self) -> list[Run]:
        return [run for run in self.runs if run.status in FINISHED]

    @property
    def told(self) -> str:
        """What it is, in one line."""
        counts = Counter(run.status for run in self.runs)
        seeds = ", ".join(str(run.seed) for run in self.runs)
        states = ", ".join(f"{count} {status}" for status, count in counts.items())
        of = f"seed{'s' if len(self.runs) > 1 else ''} {seeds}: {states}"
        return f"{self.name}  {self.first.run_id}  {self.first.recipe}, {self.first.measure}, {of}"


def print_diff(console: Console, a: DiffSide, b: DiffSide) -> None:
    """Print both sides, what differs, the tables of figures, phases and memory, and the curves."""
    for side in (a, b):
        say(console, side.told)
    _print_settings(console, a, b)
    parts = (("Figures", _metrics(a, b, RESULTS)), ("Phases", _phases(a, b)), ("Memory", _metrics(a, b, MEMORY)))
    for title, rows in parts:
        if rows:
            table = Table(
                "",
                f"A (n = {len(a.finished)})",
                f"B (n = {len(b.finished)})",
                "B against A",
                "95 % interval",
                "differs",
                title=title,
            )
            table.title_justify = "left"
            for row in rows:
                table.add_row(*map(Text, row))
            print_table(console, table, OPTIONAL)
    if chart := _curves(a, b):
        for line in chart_lines(chart, min(console.width, MOST_WIDTH)):
            say(console, line)
    for line in _notes(a, b):
        say(console, line)


def compared(a: Sequence[float], b: Sequence[float], metric: str) -> tuple[str, str, str]:
    """B against A: the difference of accuracies in points, else the ratio; its interval; whether a difference is seen.

    The interval needs three of each, and is Welch's (Biometrika 34, 1947), of the logarithms for a ratio.
    """
    as_points = is_share(metric)
    if set(a) == set(b) and len(set(a)) == 1:
        return "equal", "", ""
    if not as_points and min(*a, *b) <= 0:
        return "", "", ""
    told = _points if as_points else _ratio
    value = f"{told(_mean(b) - _mean(a))} points" if as_points else f"× {told(_mean(b) / _mean(a))}"
    if min(len(a), len(b)) < LEAST_FOR_INTERVAL or len(set(a)) == len(set(b)) == 1:
        return value, "", ""
    first, second = (values if as_points else [math.log(one) for one in values] for values in (a, b))
    low, high = means_of_two(first, second, counted=as_points).interval(TAIL)
    seen = "yes" if low > 0 or high < 0 else "no"
    low, high = (low, high) if as_points else (math.exp(low), math.exp(high))
    return value, f"{told(low)} to {told(high)}", seen


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
    for key, first, second in _differences(_origin(a.first), _origin(b.first)):
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


def _metrics(a: DiffSide, b: DiffSide, shown: Sequence[tuple[str, str, Show]]) -> list[Line]:
    sizes = sorted({name for run in (*a.runs, *b.runs) for name in run.metrics if name.startswith(AT_BATCH_SIZE)})
    more: list[tuple[str, str, Show]] = [(name.replace("_", " "), name, units.rate) for name in sizes]
    more += [(name.replace("_", " "), name, units.number) for side in (a, b) if (name := quality_name(side.first))]
    return [
        row
        for label, name, tell in dict.fromkeys([*shown, *(more if shown is RESULTS else [])])
        if (row := _row(label, name, [_values(side, name) for side in (a, b)], tell)) is not None
    ]


def _phases(a: DiffSide, b: DiffSide) -> list[Line]:
    others = dict.fromkeys(span["name"] for run in (*a.runs, *b.runs) for span in run.spans)
    rows = []
    for name in dict.fromkeys([*SPANS, *others]):
        spent = [[s for run in side.finished if (s := span_s(run, name)) is not None] for side in (a, b)]
        if any(one > NEGLIGIBLE_S for values in spent for one in values):
            rows.append(_row(name, "_s", spent, units.duration))
    return [row for row in rows if row is not None]


def _row(label: str, name: str, values: list[list[float]], tell: Show) -> Line | None:
    if not any(values):
        return None
    first, second = values
    against = compared(first, second, name) if first and second else ("", "", "")
    return label, summarise(first, tell), summarise(second, tell), *against


def _values(side: DiffSide, name: str) -> list[float]:
    return [value for run in side.finished if (value := number(run, name)) is not None]


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
    if a.first.machine.get("id") != b.first.machine.get("id"):
        notes.append("The two were made on different machines: their times say nothing of the settings.")
    for side in (a, b):
        if told := disturbed(side.runs):
            notes.append(f"{side.name} was contended: {told}")
    if min(len(a.finished), len(b.finished)) < LEAST_FOR_INTERVAL:
        notes.append(f"Fewer than {LEAST_FOR_INTERVAL} finished runs of each: the differences have no interval.")
    else:
        notes.append("Each interval stands for itself: of many figures, one in twenty differs by chance alone.")
    return notes


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _points(difference: float) -> str:
    return f"{100 * difference:+.2f}"


def _ratio(ratio: float) -> str:
    return f"{ratio:.3f}" if 0.1 <= ratio < 10 else f"{ratio:.3g}"
