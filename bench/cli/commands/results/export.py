"""Write runs with all their columns to FILE."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.run_filter import Filter
from bench.runs import selection
from bench.text import units
from bench.text.console import say, unfolded_console


def export(
    file: Annotated[Path, typer.Argument(help="A .csv or .parquet file; one that is there is replaced.")],
    epochs: Annotated[bool, typer.Option("--epochs", help="A row a run and epoch instead of a row a run.")] = False,
    filter: Filter = Filter(),
) -> None:
    """Raises UsageError for another suffix, StoreError where the file cannot be written."""
    frames = filter.load()
    frame = filter.apply(frames.runs)
    if epochs:
        frame = frames.epochs[frames.epochs["run_id"].isin(frame["run_id"])]
    selection.export(frame, file)
    counted = units.counted(len(frame), "epoch" if epochs else "run")
    say(unfolded_console(), f"{file}: {counted}, {len(frame.columns)} columns")
