"""Write each RUN for Weights & Biases, offline: its config, its metrics by epoch and at the end, tags and notes.

Needs the package wandb and no account. A run that is there already is left out; `wandb sync` uploads the folders.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli.exporting import Runs, say_logged, writing
from bench.cli.options import Results
from bench.exchange.tracked_run import TrackedRun
from bench.exchange.wandb import log_runs
from bench.runs.lookup import find_runs


def wandb(
    runs: Runs,
    console: Console,
    project: Annotated[str, typer.Option(help="The project that they belong to.")] = "bench",
    out: Annotated[Path, typer.Option(help="The runs go to the folder wandb below.")] = Path("."),
    results: Results = Path("results"),
) -> None:
    """Raises `MissingError` without the package, or where nothing can be written."""
    found = [TrackedRun(run) for run in find_runs(runs, results)]
    with writing(out):
        say_logged(console, log_runs(found, out, project), out, f"wandb sync {out / 'wandb'}/offline-run-*")
