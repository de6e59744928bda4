"""Log each RUN to MLflow: its config, its metrics by epoch and at the end, tags and notes.

Needs the package mlflow-skinny or mlflow. A run that is there already is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli.exporting import Runs, say_logged
from bench.cli.options import Results
from bench.exchange.mlflow import log_runs
from bench.exchange.tracked_run import TrackedRun
from bench.runs.lookup import find_runs


def mlflow(
    runs: Runs,
    console: Console,
    out: Annotated[str, typer.Option(help="A folder, or a tracking URI: sqlite:///mlflow.db, https://…")] = "mlruns",
    results: Results = Path("results"),
) -> None:
    """Raises `MissingError` without the package, `UsageError` for what MLflow refuses."""
    found = [TrackedRun(run) for run in find_runs(runs, results)]
    allowed = "" if "://" in out else "MLFLOW_ALLOW_FILE_STORE=true "
    say_logged(console, log_runs(found, out), out, f"{allowed}mlflow ui --backend-store-uri {out}")
