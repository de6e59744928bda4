"""Accuracy against time of the runs of a sweep, coloured by what separates them best."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench.report.charts.chart import PALETTE_SIZE, ChartAxis, ChartSeries, XYChart
from bench.report.charts.scale import accuracies, times
from bench.report.html.plots.curves import CLOCK, Curve, curve, target_lines, targets_of
from bench.report.html.plots.sample import Sample
from bench.runs.run import Run
from bench.scores.rules.timing import number

MOST_CURVES = 160


def sweep_curves(sample: Sample, labels: Sequence[str]) -> XYChart | None:
    """A line a run; of few cells each has a colour, of more the levels of the axis that the time depends on most."""
    known = [(place, run) for place, run in _by_seed(sample) if run.epochs]
    drawn = [(place, run, line) for place, run in known[:MOST_CURVES] if (line := curve(run))]
    if not drawn:
        return None
    by = None if len(sample.cells) <= PALETTE_SIZE else _axis(sample)
    groups: dict[str, list[Curve]] = defaultdict(list)
    for place, _, line in sorted(drawn, key=lambda one: one[0]):
        groups[labels[place] if by is None else sample.levels[place][by]].append(line)
    order = list(groups) if by is None else [level for level in sample.ordered_levels(by) if level in groups]
    name = "" if by is None else f"{sample.names[by]} = "
    targets = targets_of([run for _, run, _ in drawn])
    points = [point for _, _, line in drawn for point in line]
    cut = f" Drawn are {len(drawn)} of {len(known)} runs." if len(known) > MOST_CURVES else ""
    target = " The dashed line is the target." if targets else ""
    return XYChart(
        f"{sample.page}-curves",
        "",
        f"{CLOCK}. A line is a run; n counts those of a colour.{target}{cut}",
        ChartAxis("training time", times([time_s for time_s, _ in points])),
        ChartAxis("test accuracy", accuracies([accuracy for _, accuracy in points], targets)),
        tuple(
            ChartSeries(
                f"{name}{group} (n = {len(groups[group])})", tuple(groups[group]), place % PALETTE_SIZE, "both", True
            )
            for place, group in enumerate(order)
        ),
        target_lines(targets),
    )


def _by_seed(sample: Sample) -> list[tuple[int, Run]]:
    """The finished runs with the places of their cells: the first of every cell, then the second, and so on."""
    measured = [cell.measured for cell in sample.cells]
    longest = max(map(len, measured), default=0)
    return [(place, runs[turn]) for turn in range(longest) for place, runs in enumerate(measured) if turn < len(runs)]


def _axis(sample: Sample) -> int | None:
    """The axis between whose levels the mean training times differ most."""
    best: tuple[float, int | None] = (-1.0, None)
    for axis in range(len(sample.keys)):
        spent: dict[str, list[float]] = defaultdict(list)
        for levels, cell in zip(sample.levels, sample.cells, strict=True):
            spent[levels[axis]] += [time_s for run in cell.measured if (time_s := number(run, "train_s")) is not None]
        means = [sum(each) / len(each) for each in spent.values() if each]
        if 1 < len(means) <= PALETTE_SIZE:
            middle = sum(means) / len(means)
            best = max(best, (sum((one - middle) ** 2 for one in means) / len(means), axis), key=lambda pair: pair[0])
    return best[1]
