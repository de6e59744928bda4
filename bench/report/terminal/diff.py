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
from bench.report.charts.scale import accuracies, times
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
# Half of what a 95 % interval leaves out.
TAIL = 0.025
MOST_WIDTH = 100
NOTHING = "no difference is seen"
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
    for title, rows in (("Figures", _metrics(a, b, RESULTS)), ("Phases", _phases(a, b)), ("Memory", _metrics(a, b, MEMORY))):
        if rows:
            table = Table("", f"A (n = {len(a.finished)})", f"B (n = {len(b.finished)})", "B against A", title=title)
            table.title_justify = "left"
            for row in rows:
                table.add_row(*map(Text, row))
            print_table(console, table)
    if chart := _curves(a, b):
        for line in chart_lines(chart, min(console.width, MOST_WIDTH)):
            say(console, line)
    for line in _notes(a, b):
        say(console, line)


def compared(a: Sequence[float], b: Sequence[float], metric: str) -> str:
    """B against A in words: the difference of accuracies in points, else the ratio; with its interval from three of each.

    The interval is Welch's (Biometrika 34, 1947), of the logarithms for a ratio.
    """
    is_share, mean_a, mean_b = metric.endswith(("accuracy", "fraction", "recall")), _mean(a), _mean(b)
    if set(a) == set(b) and len(set(a)) == 1:
        return "equal"
    if is_share:
        value, told = mean_b - mean_a, _points
    elif min(*a, *b) <= 0:
        return ""
    else:
        value, told = mean_b / mean_a, _times
    if min(len(a), len(b)) < LEAST_FOR_INTERVAL:
        return told(value)
    scaled = (a, b) if is_share else ([math.log(one) for one in a], [math.log(one) for one in b])
    low, high = means_of_two(*scaled).interval(TAIL)
    seen = "" if low > 0 or high < 0 else f", {NOTHING}"
    low, high = (low, high) if is_share else (math.exp(low), math.exp(high))
    return f"{told(value)} [{told(low)}, {told(high)}]{seen}"


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
    return [
        (key, _value(first.get(key)), _value(second.get(key))) for key in keys if first.get(key) != second.get(key)
    ]


def _value(value: Any) -> str:
    return units.MISSING if value in (None, "") else show(value)


def _metrics(a: DiffSide, b: DiffSide, shown: Sequence[tuple[str, str, Show]]) -> list[tuple[str, str, str, str]]:
    sizes = sorted({name for run in (*a.runs, *b.runs) for name in run.metrics if name.startswith(AT_BATCH_SIZE)})
    by_size = [(name.replace("_", " "), name, units.rate) for name in sizes] if shown is RESULTS else []
    return [
        row
        for label, name, tell in (*shown, *by_size)
        if (row := _row(label, name, [_values(side, name) for side in (a, b)], tell)) is not None
    ]


def _phases(a: DiffSide, b: DiffSide) -> list[tuple[str, str, str, str]]:
    others = dict.fromkeys(span["name"] for run in (*a.runs, *b.runs) for span in run.spans)
    rows = []
    for name in dict.fromkeys([*SPANS, *others]):
        spent = [[s for run in side.finished if (s := span_s(run, name)) is not None] for side in (a, b)]
        if any(one > NEGLIGIBLE_S for values in spent for one in values):
            rows.append(_row(name, "_s", spent, units.duration))
    return [row for row in rows if row is not None]


def _row(label: str, name: str, values: list[list[float]], tell: Show) -> tuple[str, str, str, str] | None:
    if not any(values):
        return None
    against = compared(*values, name) if all(values) else ""
    return label, summarise(values[0], tell), summarise(values[1], tell), against


def _values(side: DiffSide, name: str) -> list[float]:
    return [value for run in side.finished if (value := number(run, name)) is not None]


def _curves(a: DiffSide, b: DiffSide) -> XYChart | None:
    """Accuracy against the training time, by epoch."""
    lines = {
        side.name: tuple(
            points
            for run in side.finished
            if (points := tuple((row["train_s"], row["accuracy"]) for row in run.epochs if _is_whole(row)))
        )
        for side in (a, b)
    }
    if not all(lines.values()):
        return None
    points = [point for of in lines.values() for line in of for point in line]
    targets = {number(run, "target_accuracy") for side in (a, b) for run in side.finished} - {None}
    known = sorted(target for target in targets if target is not None)
    return XYChart(
        "diff",
        "Accuracy against training time",
        "A line is a run.",
        ChartAxis("training time", times(time_s for time_s, _ in points)),
        ChartAxis("test accuracy", accuracies([accuracy for _, accuracy in points], known)),
        tuple(ChartSeries(f"{name} (n = {len(of)})", of, place, "both") for place, (name, of) in enumerate(lines.items())),
        tuple(ReferenceLine(target, f"target {units.percent(target)}") for target in known),
    )


def _is_whole(row: Mapping[str, Any]) -> bool:
    return all(
        isinstance(row.get(key), int | float) and math.isfinite(row[key]) for key in ("train_s", "accuracy")
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
        notes.append("In brackets: 95 % intervals, each for itself; of many figures one in twenty misses the truth.")
    return notes


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _points(difference: float) -> str:
    return f"{100 * difference:+.2f} points"


def _times(ratio: float) -> str:
    return f"× {ratio:.3g}"
