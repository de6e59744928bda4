"""The loss against a learning rate that grows: the curves of `find_lr`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice

from bench.report.charts.chart import PALETTE_SIZE, ChartAxis, ChartSeries, Point, ReferenceLine, XYChart
from bench.report.charts.scale import Scale, log_numbers, ticks_of
from bench.report.html.cells import CellPage
from bench.runs.run import Run
from bench.text import units

MOST_PLOTS = 12
# So far above the first loss the picture ends: what comes then is the explosion.
HEADROOM = 1.3


def rate_curves(cells: Sequence[CellPage]) -> list[XYChart]:
    """A chart for each cell of `find_lr`."""
    found = ((cell, runs) for cell in cells if (runs := [run for run in cell.runs if curve_of(run)]))
    return [
        rate_curve(f"rates-{number}", cell.label, runs)
        for number, (cell, runs) in enumerate(islice(found, MOST_PLOTS), 1)
    ]


def curve_of(run: Run) -> dict[str, list[float]] | None:
    """`rate`, `loss` and `smoothed` of each batch; None where the run has no such curve."""
    curve = units.get(run.config, "resolved", "curve")
    if not isinstance(curve, dict) or not all(isinstance(curve.get(key), list) for key in ("rate", "loss", "smoothed")):
        return None
    return curve if len(curve["rate"]) == len(curve["loss"]) == len(curve["smoothed"]) > 1 else None


def rate_curve(name: str, title: str, runs: Sequence[Run]) -> XYChart:
    """The smoothed losses of repeated searches, the losses of the first one's batches, and the suggestions."""
    series: list[ChartSeries] = []
    suggestions: list[ReferenceLine] = []
    curves = [(run, curve) for run in runs if (curve := curve_of(run))]
    firsts = [first for _, curve in curves if (first := curve["smoothed"][0]) is not None and math.isfinite(first)]
    top = HEADROOM * max(firsts, default=1.0)
    for position, (run, curve) in enumerate(curves):
        colour = position % PALETTE_SIZE
        if position == 0:
            dots = _finite(zip(curve["rate"], curve["loss"], strict=True), top)
            series.append(ChartSeries("loss of a batch", (dots,), None, "dots"))
        line = _finite(zip(curve["rate"], curve["smoothed"], strict=True), math.inf)
        suggested = run.metrics.get("suggested_lr")
        told = "" if suggested is None else f", suggested {suggested:.2g}"
        series.append(ChartSeries(f"smoothed, seed {run.seed}{told}", (line,), colour))
        if suggested is not None:
            suggestions.append(ReferenceLine(float(suggested), f"suggested: {suggested:.2g}", "x", colour))
    caption = (
        "The loss while the learning rate grows after each batch. The suggestion is a tenth of the rate at which the "
        "smoothed loss is smallest."
    )
    return XYChart(
        name,
        title,
        caption,
        ChartAxis("learning rate", log_numbers(rate for _, curve in curves for rate in curve["rate"])),
        ChartAxis("training loss", Scale(0.0, top, ticks_of("loss", 0.0, top))),
        tuple(series),
        tuple(suggestions),
    )


def _finite(points: Iterable[tuple[float, float | None]], top: float) -> tuple[Point, ...]:
    """The points with a number; a record keeps what is not finite as null."""
    return tuple((x, y) for x, y in points if y is not None and math.isfinite(y) and y <= top)
