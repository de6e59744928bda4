"""Write runs to FILE: all their columns as .csv or .parquet, or the records themselves as .jsonl."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.run_filter import Filter
from bench.errors import UsageError
from bench.runs import selection
from bench.runs.copying import copy_runs
from bench.text import units
from bench.text.console import say, unfolded_console


def export(
    file: Annotated[Path, typer.Argument(help="A .csv, .parquet or .jsonl file; one that is there is replaced.")],
    epochs: Annotated[
        bool, typer.Option("--epochs", help="A row a run and epoch instead of a row a run; for .csv and .parquet.")
    ] = False,
    filter: Filter = Filter(),
) -> None:
    """Raises UsageError for another suffix, StoreError where the file cannot be written."""
    if epochs and file.suffix == ".jsonl":
        raise UsageError(f"--epochs: {file} holds whole records, which have their epochs; leave it out")
    frames = filter.load()
    frame = filter.apply(frames.runs)
    console = unfolded_console()
    if file.suffix == ".jsonl":
        if any(file.resolve() == one.resolve() for one in frames.files):
            raise UsageError(f"{file}: the runs are read from this file; name another one")
        said = copy_runs(frames.files, set(frame["run_id"]), file)
        say(console, f"{file}: {units.counted(len(frame), 'run')}, {units.counted(said, 'annotation')}")
        return
    if epochs:
        frame = frames.epochs[frames.epochs["run_id"].isin(frame["run_id"])]
    selection.export(frame, file)
    counted = units.counted(len(frame), "epoch" if epochs else "run")
    say(console, f"{file}: {counted}, {len(frame.columns)} columns")
