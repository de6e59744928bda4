"""Accuracy against time on DAWNBench's clock, the only one that imported entries have."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.charts.chart import ChartAxis, ChartSeries, Point, ReferenceLine, XYChart
from bench.report.charts.scale import accuracies, times
from bench.report.html.cells import CellPage, featured
from bench.runs.run import Run
from bench.scores.rules.dawnbench import epoch_rows
from bench.scores.rules.task import task
from bench.text import units

MOST_CELLS = 6
MOST_RUNS = 10
CLOCK = (
    "Test accuracy after each epoch, by the training time on DAWNBench's clock: loading and initialisation in, imports "
    "and evaluation out"
)
Curve = tuple[Point, ...]


def curves(cells: Sequence[CellPage], imported: Sequence[Run]) -> list[XYChart]:
    """A chart for each task with known epochs."""
    charts: list[XYChart] = []
    tasks = dict.fromkeys([cell.task for cell in cells] + [task(run) for run in imported])
    for task_name in tasks:
        timed = [cell for cell in cells if cell.first.metrics.get("target_accuracy") is not None]
        own = [
            (cell, [found for run in cell.runs[:MOST_RUNS] if (found := curve(run))])
            for cell in featured(timed, task_name, MOST_CELLS)
        ]
        others = [found for run in imported if task(run) == task_name and (found := curve(run))]
        own = [(cell, found) for cell, found in own if found]
        if own or others:
            charts.append(_draw(task_name, own, others, sum(cell.task == task_name for cell in timed)))
    return charts


def curve(run: Run) -> Curve:
    """Seconds and accuracy after each epoch."""
    return tuple((row.time_s, row.accuracy) for row in epoch_rows(run) if row.time_s > 0)


def targets_of(runs: Sequence[Run]) -> list[float]:
    """The target accuracies of these runs."""
    found = {run.metrics.get("target_accuracy") for run in runs}
    return sorted(float(target) for target in found if target is not None)


def target_lines(targets: Sequence[float]) -> tuple[ReferenceLine, ...]:
    return tuple(ReferenceLine(target, f"target {units.percent(target)}") for target in targets)


def _draw(task_name: str, own: list[tuple[CellPage, list[Curve]]], others: list[Curve], count: int) -> XYChart:
    series = [ChartSeries(f"DAWNBench entries (n = {len(others)})", tuple(others), None, faint=True)] if others else []
    for position, (cell, found) in enumerate(own):
        label = f"{cell.label} (n = {len(found)})"
        series.append(ChartSeries(label, tuple(found), position, "both", faint=len(found) > 1))
    targets = targets_of([run for cell, _ in own for run in cell.runs])
    points = [point for one in series for line in one.lines for point in line]
    gone = (
        f" Drawn are {len(own)} of {count} cells, those that reached the target first, then the newest."
        if count > len(own)
        else ""
    )
    return XYChart(
        f"curves-{task_name}",
        task_name,
        f"{CLOCK}. A line is a run; n counts those of a cell. A dashed line is a target.{gone}",
        ChartAxis("training time", times([time_s for time_s, _ in points])),
        ChartAxis("test accuracy", accuracies([accuracy for _, accuracy in points], targets)),
        tuple(series),
        target_lines(targets),
    )
