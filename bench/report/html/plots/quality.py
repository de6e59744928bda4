"""Quality against time of trainings that are judged by something else than an accuracy, such as a distance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench.report.charts.chart import PALETTE_SIZE, ChartAxis, ChartSeries, ReferenceLine, XYChart
from bench.report.charts.epochs import epoch_points, quality_name, words
from bench.report.charts.scale import scale_of, times
from bench.report.html.cells import CellPage
from bench.runs.run import Run
from bench.scores.rules.timing import number
from bench.text import units

MOST_CELLS = 6
MOST_RUNS = 10
Groups = Sequence[tuple[str, Sequence[Run]]]


def qualities(cells: Sequence[CellPage]) -> list[XYChart]:
    """A chart for each task and quality."""
    groups: dict[tuple[str, str], list[CellPage]] = defaultdict(list)
    for cell in cells:
        if (name := quality_name(cell.first)) is not None:
            groups[cell.task, name].append(cell)
    charts = []
    for (task, name), members in groups.items():
        drawn = [(cell.label, cell.runs[:MOST_RUNS]) for cell in members[:MOST_CELLS]]
        cut = f" Drawn are {len(drawn)} of {len(members)} cells, the newest." if len(members) > len(drawn) else ""
        if chart := quality_chart(f"quality-{task}-{name}", f"{words(name)} against time, {task}", drawn, cut):
            charts.append(chart)
    return charts


def quality_chart(name: str, title: str, groups: Groups, cut: str = "") -> XYChart | None:
    """A line a run, with a colour and a label for each group of runs; None where no run recorded its quality."""
    lines = [
        (label, [line for run in runs if (line := epoch_points(run, quality_name(run) or ""))])
        for label, runs in groups
    ]
    lines = [(label, found) for label, found in lines if found]
    if not lines:
        return None
    first = next(run for _, runs in groups for run in runs if quality_name(run))
    metric = quality_name(first) or ""
    better = units.get(first.config, "resolved", "quality", "better")
    points = [point for _, found in lines for line in found for point in line]
    targets = sorted(
        {target for _, runs in groups for run in runs if (target := number(run, "target_quality")) is not None}
    )
    told = f"{words(metric)}, {better} is better" if better in ("lower", "higher") else words(metric)
    return XYChart(
        name,
        title,
        f"After each evaluated epoch, by the training time. A line is a run; n counts those of a colour.{cut}",
        ChartAxis("training time", times([time_s for time_s, _ in points])),
        ChartAxis(told, scale_of(metric, [*(value for _, value in points), *targets])),
        tuple(
            ChartSeries(f"{label} (n = {len(found)})", tuple(found), place % PALETTE_SIZE, "both", len(found) > 1)
            for place, (label, found) in enumerate(lines)
        ),
        tuple(ReferenceLine(target, f"target {target:g}") for target in targets),
    )
