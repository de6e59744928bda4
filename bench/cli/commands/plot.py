"""Draw one picture from a query of recorded runs: a column against another, by a third.

In the terminal, or with --out as a PNG, an SVG or a page. With --x time or --x epoch it draws a line a run from its
epochs; with a setting, such as model.width, the mean at each of its values with its 95 % interval; with a metric a dot
a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli.options import RunFiles
from bench.cli.run_filter import Filter
from bench.errors import UsageError
from bench.report.charts.query import chart_of
from bench.report.terminal.chart import chart_lines
from bench.text import units
from bench.text.console import say

MOST_WIDTH = 110


def plot(
    console: Console,
    x: Annotated[str, typer.Option(metavar="COLUMN", help="time, epoch, or a column of `bench results columns`.")],
    y: Annotated[str, typer.Option(metavar="COLUMN", help="A number, such as accuracy, loss, train_s or total_s.")],
    by: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="A colour for each value of this, such as model.width.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The picture's file, .png or .svg; .html is a page as wide as its window.")
    ] = None,
    files: RunFiles = None,
    filter: Filter = Filter(),
) -> None:
    """Raises UsageError for columns that there are not, and for what cannot be drawn."""
    if out is not None:
        from bench.cli.picture_file import check_picture_file, write_chart

        check_picture_file(out, or_page=True)
    frames = filter.load(files)
    runs = filter.apply(frames.runs)
    if runs.empty:
        raise UsageError(f"none of the {units.counted(len(frames.runs), 'run')} meets all of this")
    chart = chart_of(frames, runs, x, y, by)
    if out is None:
        for line in chart_lines(chart, min(console.width, MOST_WIDTH)):
            say(console, line)
        return
    write_chart(chart, out)
    say(console, f"{chart.title}: drawn in {out}. {chart.caption}")
