"""Write the MLPerf log of each RUN."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.exporting import Runs, each, file_name, writing
from bench.cli.options import Results
from bench.exchange.mllog import log_lines
from bench.runs.lookup import find_runs
from bench.text.console import LastingConsole, say


def mllog(
    runs: Runs,
    out: Annotated[Path, typer.Option(help="A file RUN.log for each run goes here.")] = Path("."),
    results: Results = Path("results"),
) -> None:
    """Raises `UsageError` where no run makes a log."""
    console = LastingConsole()
    for run, lines in each(find_runs(runs, results), log_lines, console):
        path = out / f"{file_name(run.run_id)}.log"
        with writing(path):
            out.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        say(console, f"{path}")
