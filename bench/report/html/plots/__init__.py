"""The charts of a report; each file has one kind of chart and also selects what it shows."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.charts.chart import Chart
from bench.report.html.cells import CellPage
from bench.report.html.figure import Plot
from bench.report.html.plots.curves import curves
from bench.report.html.plots.history import history
from bench.report.html.plots.quality import qualities
from bench.report.html.plots.rate_curves import rate_curves
from bench.report.html.plots.scaling import scaling
from bench.report.html.plots.spans import spans
from bench.report.html.plots.surfaces import surfaces
from bench.runs.run import Run
from bench.scores.leaderboard import Board
from bench.scores.published import PublishedResult

# A heading, the charts below it, and pictures that are files.
Chapter = tuple[str, Sequence[Chart], Sequence[Plot]]


def draw(
    cells: Sequence[CellPage], imported: Sequence[Run], records: Sequence[PublishedResult], boards: Sequence[Board]
) -> list[Chapter]:
    """Every chart that has data; `imported` are entries of others, whose epochs are known."""
    chapters: list[Chapter] = [
        ("Records since 2017", history(records, boards), ()),
        ("Accuracy against time", curves(cells, imported), ()),
        ("Quality against time", qualities(cells), ()),
        ("Where the time went", spans(cells), ()),
        ("Scaling by devices", scaling(cells), ()),
        ("Learning rates", rate_curves(cells), ()),
        ("Loss surfaces", (), surfaces(cells)),
    ]
    return [chapter for chapter in chapters if chapter[1] or chapter[2]]
