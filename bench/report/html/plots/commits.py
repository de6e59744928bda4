"""The gate's history as charts: the level of each chain with its changes, and beside it what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from bench.gate.history import Chain, Commit
from bench.host.git import SHORT_COMMIT
from bench.report.charts.chart import PALETTE_SIZE, ChartAxis, ChartSeries, PointLabel, XYChart
from bench.report.charts.scale import Scale, scale_of, whole_numbers
from bench.statistics.change_points import Change, Level
from bench.text import units

TITLE = "Speed along the commits"
# The charts of a chain, which stand beside each other in a picture.
CHARTS = 2
CONFIDENCE_95 = 1.96


def commit_charts(chains: Sequence[Chain], commits: Sequence[Commit]) -> list[XYChart]:
    """For each chain the level since the first commit, and what was measured, by machine."""
    return [
        chart
        for number, chain in enumerate(chains)
        for chart in (_levels(f"level-{number}", chain, commits), _raw(f"raw-{number}", chain, commits))
    ]


def _levels(name: str, chain: Chain, commits: Sequence[Commit]) -> XYChart:
    pieces = [
        [level for level in chain.levels if level.piece == piece]
        for piece in dict.fromkeys(level.piece for level in chain.levels)
    ]
    lines = tuple(tuple((float(one.position), _risen(chain, one.rise)) for one in piece) for piece in pieces)
    intervals = tuple((float(one.position), *_ends(chain, one)) for one in chain.levels)
    fits = tuple(_fit(chain, piece) for piece in pieces)
    values = [value for line in (*lines, *fits) for _, value in line] + [end for _, *ends in intervals for end in ends]
    gaps = f" {units.counted(len(pieces) - 1, 'gap')}: nothing was compared over it." if len(pieces) > 1 else ""
    return XYChart(
        name,
        f"{chain.cell}, {chain.quantity.name}: level since the first commit",
        f"The product of the ratios of {units.counted(len(chain.comparisons), 'comparison')} up to a commit, with its "
        f"95 % interval. The steps are the {units.counted(len(chain.changes), 'change')} that explain it.{gaps}",
        ChartAxis("commit", _positions(chain, commits)),
        ChartAxis(_level_title(chain), scale_of(_level_metric(chain), values)),
        (
            ChartSeries(f"level (n = {len(chain.levels)} commits)", lines, 0, "both", intervals=intervals),
            *([ChartSeries("the changes alone", fits, 1, "steps")] if chain.changes else []),
        ),
        labels=tuple(_label(chain, change, commits) for change in chain.changes),
    )


def _raw(name: str, chain: Chain, commits: Sequence[Commit]) -> XYChart:
    machines = list(dict.fromkeys(machine for _, _, machine in chain.raw))
    points = {
        machine: tuple(((float(at), value),) for at, value, its in chain.raw if its == machine) for machine in machines
    }
    return XYChart(
        name,
        f"{chain.cell}, {chain.quantity.name}: as measured, by machine",
        "A dot is the newer commit of a comparison. A change of the machine is no change of the speed.",
        ChartAxis("commit", _positions(chain, commits)),
        ChartAxis(chain.quantity.name, scale_of(chain.quantity.metric, [value for _, value, _ in chain.raw])),
        tuple(
            ChartSeries(f"{machine[:SHORT_COMMIT]} (n = {len(of)})", of, number % PALETTE_SIZE, "dots")
            for number, (machine, of) in enumerate(points.items())
        ),
    )


def _fit(chain: Chain, piece: Sequence[Level]) -> tuple[tuple[float, float], ...]:
    """What the changes alone make of the level."""
    first, last = piece[0].position, piece[-1].position
    inside = [change for change in chain.changes if first < change.last <= last]
    rises = (
        (one.position, math.fsum(change.rise for change in inside if change.last <= one.position)) for one in piece
    )
    return tuple((float(at), _risen(chain, rise)) for at, rise in rises)


def _label(chain: Chain, change: Change, commits: Sequence[Commit]) -> PointLabel:
    """`+1.2 % 1a2b3c4d5`, where the change is first measured, above all levels up to the next one."""
    later = [one.last for one in chain.changes if one.last > change.last]
    inside = [one for one in chain.levels if change.last <= one.position < min(later, default=len(commits))]
    top = max(_ends(chain, one)[1] for one in inside)
    risen = _risen(chain, change.rise)
    told = f"{100 * risen:+.1f} %" if chain.quantity.scale == "ratio" else f"{risen:+.2f}"
    return PointLabel((float(inside[0].position), top), f"{told} {commits[change.last].name[:SHORT_COMMIT]}", 1)


def _positions(chain: Chain, commits: Sequence[Commit]) -> Scale:
    """The line of commits, with the short names of some as ticks."""
    made = whole_numbers(float(level.position) for level in chain.levels)
    ticks = tuple((at, commits[int(at)].name[:SHORT_COMMIT]) for at, _ in made.ticks if 0 <= at < len(commits))
    return replace(made, ticks=ticks)


def _ends(chain: Chain, level: Level) -> tuple[float, float]:
    reach = CONFIDENCE_95 * level.error
    return _risen(chain, level.rise - reach), _risen(chain, level.rise + reach)


def _risen(chain: Chain, rise: float) -> float:
    """A rise as a fraction of the first level, or in points."""
    return math.expm1(rise) if chain.quantity.scale == "ratio" else 100 * rise


def _level_metric(chain: Chain) -> str:
    """The name by which a scale knows its unit."""
    return "rise_fraction" if chain.quantity.scale == "ratio" else "rise"


def _level_title(chain: Chain) -> str:
    return f"{chain.quantity.name}, change" if chain.quantity.scale == "ratio" else f"{chain.quantity.name}, points"
