"""Write a folder for TensorBoard of each RUN: its metrics by epoch and at the end, and its config as text.

Needs the package tensorboard. A run that is there already is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli.exporting import Runs, file_name, say_logged, writing
from bench.cli.options import Results
from bench.exchange.tensorboard import log_runs
from bench.exchange.tracked_run import TrackedRun
from bench.runs.lookup import find_runs


def tensorboard(
    runs: Runs,
    console: Console,
    out: Annotated[Path, typer.Option(help="A folder for each run goes here.")] = Path("tensorboard"),
    results: Results = Path("results"),
) -> None:
    """Raises `MissingError` without the package, or where nothing can be written."""
    tracked = map(TrackedRun, find_runs(runs, results))
    found = [(one, file_name(f"{one.run.recipe}-seed{one.run.seed}-{one.run.run_id}")) for one in tracked]
    with writing(out):
        say_logged(console, log_runs(found, out), out, f"tensorboard --logdir {out}")
