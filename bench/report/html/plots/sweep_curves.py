"""Accuracy against time of the runs of a sweep, coloured by what separates them best."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench.report.charts.chart import PALETTE_SIZE, ChartAxis, ChartSeries, XYChart
from bench.report.charts.scale import accuracies, times
from bench.report.html.plots.curves import CLOCK, Curve, curve, target_lines, targets_of
from bench.report.html.plots.effects import Sample

MOST_CURVES = 160


def sweep_curves(sample: Sample, labels: Sequence[str]) -> XYChart | None:
    """A line a run; of few cells each has a colour, of more the levels of the axis that the time depends on most."""
    found = [[curve(run) for run in cell.measured] for cell in sample.cells]
    found = [[one for one in lines if one] for lines in found]
    groups: dict[str, list[Curve]] = defaultdict(list)
    by = None if len(sample.cells) <= PALETTE_SIZE else _axis(sample, found)
    drawn = 0
    for place, lines in enumerate(found):
        kept = lines[: max(0, MOST_CURVES - drawn)]
        drawn += len(kept)
        if kept:
            groups[labels[place] if by is None else sample.levels[place][by]] += kept
    if not groups:
        return None
    order = list(groups) if by is None else [level for level in sample.ordered_levels(by) if level in groups]
    name = "" if by is None else f"{sample.names[by]} = "
    series = tuple(
        ChartSeries(
            f"{name}{group} (n = {len(groups[group])})", tuple(groups[group]), number % PALETTE_SIZE, "both", True
        )
        for number, group in enumerate(order)
    )
    runs = [run for cell in sample.cells for run in cell.measured]
    targets = targets_of(runs)
    points = [point for lines in groups.values() for line in lines for point in line]
    count = sum(map(len, found))
    cut = f" Drawn are {drawn} of {count} runs." if drawn < count else ""
    target = " The dashed line is the target." if targets else ""
    return XYChart(
        f"{sample.page}-curves",
        "",
        f"{CLOCK}. A line is a run; n counts those of a colour.{target}{cut}",
        ChartAxis("training time", times([time_s for time_s, _ in points])),
        ChartAxis("test accuracy", accuracies([accuracy for _, accuracy in points], targets)),
        series,
        target_lines(targets),
    )


def _axis(sample: Sample, found: Sequence[Sequence[Curve]]) -> int | None:
    """The axis between whose levels the final times differ most, in units of the scatter within them."""
    best: tuple[float, int | None] = (-1.0, None)
    for axis in range(len(sample.keys)):
        ends: dict[str, list[float]] = defaultdict(list)
        for levels, lines in zip(sample.levels, found, strict=True):
            ends[levels[axis]] += [line[-1][0] for line in lines]
        means = [sum(times) / len(times) for times in ends.values() if times]
        if 1 < len(means) <= PALETTE_SIZE:
            middle = sum(means) / len(means)
            best = max(best, (sum((one - middle) ** 2 for one in means) / len(means), axis), key=lambda pair: pair[0])
    return best[1]
