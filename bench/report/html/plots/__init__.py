"""The plots of a report; each file has one kind of plot and also selects what it shows."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.html.cells import CellPage
from bench.report.html.figure import Plot, style
from bench.report.html.plots.curves import curves
from bench.report.html.plots.heatmaps import heatmaps
from bench.report.html.plots.history import history
from bench.report.html.plots.rate_curves import rate_curves
from bench.report.html.plots.scaling import scaling
from bench.report.html.plots.spans import spans
from bench.report.html.plots.surfaces import surfaces
from bench.runs.run import Run
from bench.scores.leaderboard import Board
from bench.scores.published import PublishedResult

# Headings and the plots below each.
Chapter = tuple[str, list[Plot]]


def draw(
    cells: Sequence[CellPage], imported: Sequence[Run], records: Sequence[PublishedResult], boards: Sequence[Board]
) -> list[Chapter]:
    """Every plot that has data; `imported` are entries of others, whose epochs are known."""
    with style():
        chapters = [
            ("Records since 2017", history(records, boards)),
            ("Accuracy against time", curves(cells, imported)),
            ("Where the time went", spans(cells)),
            ("Scaling by devices", scaling(cells)),
            ("Matrices", heatmaps(cells)),
            ("Learning rates", rate_curves(cells)),
            ("Loss surfaces", surfaces(cells)),
        ]
    return [(heading, plots) for heading, plots in chapters if plots]
