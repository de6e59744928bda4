"""Draw what runs of find_lr or of surface found: curves on one another, surfaces side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli.exporting import Runs
from bench.cli.options import Results
from bench.cli.picture_file import check_picture_file, write_plot
from bench.errors import UsageError
from bench.report.html.drawing import draw_chart
from bench.report.html.figure import Plot, style
from bench.report.html.plots.rate_curves import curve_of, rate_curve
from bench.report.html.plots.surfaces import surface_of, surface_plot
from bench.runs.lookup import find_runs
from bench.runs.run import Run
from bench.text import units
from bench.text.console import say


def picture(
    runs: Runs,
    out: Annotated[Path, typer.Option(help="The picture's file, .png or .svg.")],
    console: Console,
    results: Results = Path("results"),
) -> None:
    """Raises `UsageError` for runs that have nothing to draw or not the same, and for a file that cannot be written."""
    check_picture_file(out)
    found = find_runs(runs, results)
    write_picture(*found, file=out)
    say(console, f"{units.counted(len(found), 'run')} drawn in {out}.")


def write_picture(*runs: Run, file: Path, title: str = "") -> None:
    """Raises `UsageError` where there is nothing to draw, `MissingError` where `file` cannot be written."""
    write_plot(_plot(runs, title), file)


def _plot(runs: Sequence[Run], title: str) -> Plot:
    if all(curve_of(run) for run in runs):
        return draw_chart(rate_curve("rates", title or runs[0].recipe, runs))
    if all(surface_of(run) for run in runs):
        with style():
            return surface_plot("surface", title or runs[0].recipe, [(_label(run), run) for run in runs])
    kinds = ", ".join(dict.fromkeys(run.measure for run in runs))
    raise UsageError(
        f"only runs of find_lr, or only runs of surface can be drawn, not of {kinds}; `bench plot` draws the others"
    )


def _label(run: Run) -> str:
    model = run.config.get("model")
    options = {key: value for key, value in model.items() if key != "name"} if isinstance(model, dict) else {}
    return ", ".join(f"{key} {value}" for key, value in options.items()) or run.recipe
