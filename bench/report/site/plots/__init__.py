"""The plots of a report, a kind a file: what is drawn is chosen there too."""

from __future__ import annotations

from collections.abc import Sequence

from bench.leaderboard import Board
from bench.records import Record
from bench.report.site.cells import Cell
from bench.report.site.figure import Plot, style
from bench.report.site.plots.curves import curves
from bench.report.site.plots.heatmaps import heatmaps
from bench.report.site.plots.history import history
from bench.report.site.plots.scaling import scaling
from bench.report.site.plots.spans import spans
from bench.run import Run

# Headings, and the plots below each.
Chapter = tuple[str, list[Plot]]


def draw(
    cells: Sequence[Cell], imported: Sequence[Run], records: Sequence[Record], boards: Sequence[Board]
) -> list[Chapter]:
    """Every plot that there is something for; `imported` are entries of others, whose epochs are known."""
    with style():
        chapters = [
            ("Records since 2017", history(records, boards)),
            ("Accuracy against time", curves(cells, imported)),
            ("Where the time went", spans(cells)),
            ("Scaling by devices", scaling(cells)),
            ("Matrices", heatmaps(cells)),
        ]
    return [(heading, plots) for heading, plots in chapters if plots]
