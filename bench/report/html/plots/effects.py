"""What the axes of a sweep do: dots with intervals for each axis, and a heat map for each two of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import median

from bench.report.charts.chart import ChartAxis, Dot, DotChart, DotRow, HeatCell, HeatMap
from bench.report.charts.scale import Scale, is_share, scale_of
from bench.report.html.plots.sample import Sample
from bench.statistics import clustered
from bench.statistics.estimates import Estimate
from bench.statistics.factors import FactorCell, Margin, interaction
from bench.text import units

# Longer charts and wider maps cannot be read; the table has everything.
MOST_ROWS = 60
MOST_COLUMNS = 6
MOST_LEVELS = 12
MOST_MAPS = 6
# The colours of a map span at least so many standard errors of a mean, so that noise alone looks even.
SPAN_ERRORS = 8
# p of an F test below which an interaction is told.
SEEN = 0.01


def effects(sample: Sample, axis: int, colour: int) -> DotChart | None:
    """The mean of a figure at each level of an axis, over all else; None where no two levels can be compared.

    The charts of all axes share the figure's scale.
    """
    found = sample.margins[axis]
    if len(found.estimates) < 2:
        return None
    levels = sample.ordered_levels(axis)
    shown = [(level, found.estimates[(level,)]) for level in levels if (level,) in found.estimates][:MOST_ROWS]
    is_alone = len(sample.keys) == 1
    rows = tuple(
        DotRow(
            level,
            (Dot.of(at, sample.values_at(axis, level) if is_alone else (), colour, sample.told(at)),),
            sample.marks_at(axis, level),
        )
        for level, at in shown
    )
    cut = f" The first {MOST_ROWS} of {len(levels)} are drawn." if len(levels) > MOST_ROWS else ""
    name = sample.names[axis]
    return DotChart(
        f"{sample.page}-{sample.keys[axis]}-{sample.metric}",
        f"{sample.label} by {name}",
        f"{_what(sample, found)}{cut}",
        ChartAxis(name, sample.scale),
        rows,
    )


def cell_dots(sample: Sample, labels: Sequence[str]) -> DotChart | None:
    """The mean of a figure in each cell, for sweeps whose axes are not crossed."""
    means = [(place, clustered.mean(of)) for place, of in enumerate(sample.readings) if of]
    if not means:
        return None
    rows = tuple(
        DotRow(
            labels[place], (Dot.of(at, sample.values[place], 0, sample.told(at)),), ", ".join(sample.cells[place].marks)
        )
        for place, at in means[:MOST_ROWS]
    )
    cut = f" The first {MOST_ROWS} of {len(means)} are drawn." if len(means) > MOST_ROWS else ""
    values = [value for dot in rows for value in _values(dot.dots[0])]
    return DotChart(
        f"{sample.page}-cells-{sample.metric}",
        f"{sample.label} by cell",
        f"{_what_of_cells(sample)}; small dots are single runs.{cut}",
        ChartAxis("", scale_of(sample.metric, values)),
        rows,
    )


def interactions(sample: Sample) -> list[HeatMap]:
    """A map for each two axes, those that interact most clearly first; the maps of a figure share their colours."""
    if len(sample.keys) < 2:
        return []
    pairs = [
        (first, second, sample.margin_of(first, second))
        for first, second in combinations(range(len(sample.keys)), 2)
        if all(2 <= len(sample.ordered_levels(axis)) <= MOST_LEVELS for axis in (first, second))
        and min(len(sample.ordered_levels(axis)) for axis in (first, second)) <= MOST_COLUMNS
    ]
    pairs = [pair for pair in pairs if len(pair[2].estimates) > 2]
    if not pairs:
        return []
    colours = _colours(sample, [found for _, _, found in pairs])
    made = [_map(sample, first, second, found, colours) for first, second, found in pairs]
    made.sort(key=lambda one: 2.0 if one[0] is None else one[0])
    return [chart for _, chart in made[:MOST_MAPS]]


def _map(sample: Sample, first: int, second: int, found: Margin, colours: Scale) -> tuple[float | None, HeatMap]:
    """The longer axis goes down, so that the map fits a phone."""
    down, across = sorted((first, second), key=lambda axis: -len(sample.ordered_levels(axis)))
    swapped = down != first
    p = interaction(sample.measured_cells, first, second, sample.are_ratios).p
    rows = tuple(
        (
            row,
            tuple(
                _cell(sample, found.estimates.get((column, row) if swapped else (row, column)), colours)
                for column in sample.ordered_levels(across)
            ),
        )
        for row in sample.ordered_levels(down)
    )
    names = sample.names
    return p, HeatMap(
        f"{sample.page}-{sample.keys[first]}-{sample.keys[second]}-{sample.metric}",
        f"{sample.label} by {names[first]} and {names[second]}",
        f"{_verdict(sample, names[first], names[second], p)} {_what(sample, found, 2)}",
        names[down],
        names[across],
        tuple(sample.ordered_levels(across)),
        rows,
        (sample.show(colours.least), sample.show(colours.most)),
    )


def _cell(sample: Sample, at: Estimate | None, colours: Scale) -> HeatCell | None:
    if at is None:
        return None
    return HeatCell(sample.show(at.value), sample.detail(at), colours.place(at.value))


def _colours(sample: Sample, found: Sequence[Margin]) -> Scale:
    """From the lowest to the highest mean, and at least SPAN_ERRORS standard errors wide."""
    means = [at.value for one in found for at in one.estimates.values()]
    low, high = min(means), max(means)
    errors = [error for one in found for cells in one.cells.values() if (error := _error(cells)) is not None]
    span = max(high - low, SPAN_ERRORS * median(errors) if errors else 0.0) or 1.0
    middle = (low + high) / 2
    least, most = middle - span / 2, middle + span / 2
    if low >= 0:
        least, most = max(0.0, least), max(most, span if least < 0 else most)
    return Scale(least, min(1.0, most) if is_share(sample.metric) and high <= 1 else most, ())


def _error(cells: Sequence[FactorCell]) -> float | None:
    """The standard error of a mean of cell means; None where a cell has a single value."""
    parts = []
    for cell in cells:
        n = len(cell.values)
        if n < 2:
            return None
        centre = math.fsum(cell.values) / n
        parts.append(math.fsum((value - centre) ** 2 for value in cell.values) / (n - 1) / n)
    return math.sqrt(math.fsum(parts)) / len(cells)


def _verdict(sample: Sample, first: str, second: str, p: float | None) -> str:
    if p is None:
        return "One run a cell, or equal ones, cannot tell an interaction from noise."
    test = f"F test of {'ratios' if sample.are_ratios else 'differences'}, {_p(p)}"
    if p < SEEN:
        return f"They interact: what {first} does depends on {second} ({test})."
    return f"No interaction is seen ({test})."


def _p(p: float) -> str:
    return "p\u00a0<\u00a00.0001" if p < 1e-4 else f"p\u00a0=\u00a0{p:.2g}"


def how_to_read(samples: Sequence[Sample]) -> str:
    """What the intervals of all charts of effects are for."""
    block = "host" if any(sample.hosts > 1 for sample in samples) else "seed"
    told = f"The intervals are over the {block}s."
    if any(sample.hosts > 1 for sample in samples):
        told += f" Each of the {max(sample.hosts for sample in samples)} hosts counts once."
    if any(sample.is_blocked for sample in samples):
        told += f" They are for comparing values: what a {block} changes in all cells alike is not in them."
    return told


def _what(sample: Sample, found: Margin, axes: int = 1) -> str:
    """What a mean is of."""
    over = f" over {units.counted(found.over, 'combination')} of the other axes" if len(sample.keys) > axes else ""
    told = f"The mean{over}, of n runs, and its 95 % interval where n allows one."
    if found.left_out:
        combinations = units.counted(found.left_out, "combination")
        told += f" {combinations} of the others left out, where a cell is missing."
    return told


def _what_of_cells(sample: Sample) -> str:
    if sample.hosts > 1:
        return "The mean of the hosts' means, with its 95 % interval where there are 3 hosts or more; n counts runs"
    return "The mean of n seeds, with its 95 % interval where n is 3 or more"


def _values(dot: Dot) -> list[float]:
    return [value for value in (dot.value, dot.low, dot.high, *dot.points) if value is not None]
