"""The page of a sweep that has just run, as one file."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from bench.cli.commands.leaderboard import write
from bench.report.html.pages import single_sweep_page
from bench.report.html.sweeps import sweep_of_plan
from bench.spec.matrix import Matrix
from bench.spec.sweep_plan import SweepPlan
from bench.text.console import say


def write_sweep_page(matrix: Matrix, made: SweepPlan, results: Path, console: Console) -> None:
    """Raises `MissingError` where it cannot be written."""
    page = sweep_of_plan(matrix.name, made, matrix.keys, matrix.spec.measure)
    path = results / "sweeps" / f"{page.page}.html"
    write(path, single_sweep_page(page))
    say(console, f"Page: {path}; `bench open {page.page}` opens it")
