"""Show one run in full: how to repeat it, metrics, spans, epochs, config, machine, code, data, end of its log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Results
from bench.report.terminal.results import run_in_full
from bench.runs.line import StoreLine
from bench.runs.lookup import PUBLISHED, STORE, find_run
from bench.runs.store import each_record
from bench.text.console import unfolded_console, write_out


def show(
    run: Annotated[str, typer.Argument(help="The beginning of its id, or of the digits after the dash, or last.")],
    as_json: Annotated[bool, typer.Option("--json", help="The record itself.")] = False,
    results: Results = Path("results"),
) -> None:
    """Raises UsageError where no run, or more than one, is meant."""
    found, path = find_run(run, results, (STORE, PUBLISHED))
    if as_json:
        record = next(each_record(path, lambda line: StoreLine.read(line, {found.run_id})))
        write_out(record.text.decode(), is_json=True)
        return
    console = unfolded_console()
    for title, part in run_in_full(found, str(path)):
        console.print(title, style="bold", markup=False, highlight=False)
        console.print(part, markup=False, highlight=False, soft_wrap=isinstance(part, str))
        console.print()
