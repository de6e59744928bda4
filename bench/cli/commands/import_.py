"""Add DAWNBench entries to the table of runs, marked as the runs of others."""

from __future__ import annotations

from pathlib import Path

from bench.cli.entries import Entries, say_unread, verdict
from bench.cli.options import Results
from bench.errors import UsageError
from bench.exchange import dawnbench
from bench.exchange.to_runs import run_of
from bench.runs.store import Store
from bench.text import streams
from bench.text.console import LastingConsole, say


def import_(files: Entries, results: Results = Path("results")) -> None:
    """Those that are there already are not added again; those of other tasks are left out and named.

    Raises `UsageError` with all that is wrong, if anything is, and then adds none.
    """
    console = LastingConsole()
    streams.work_outlasts_output()
    readings = [dawnbench.read(path) for path in dawnbench.find(files)]
    say_unread(files, console)
    for reading in readings:
        if reading.other_task is not None:
            say(console, f"left out: {verdict(reading)}")
    readings = [reading for reading in readings if reading.other_task is None]
    if not readings:
        raise UsageError("there is no entry of CIFAR10 in these files; nothing was imported")
    if errors := [error for reading in readings for error in reading.errors]:
        raise UsageError("\n".join([*errors, "nothing was imported"]))
    store = Store(results / "runs" / "imported.jsonl")
    known = {run.run_id for run in store.read()}
    new = 0
    for reading in readings:
        assert reading.entry is not None  # there were no errors
        run = run_of(reading.entry, reading.path.stem)
        if run.run_id not in known:
            store.append(run)
            known.add(run.run_id)
            new += 1
    say(console, f"{new} of {len(readings)} entries were new; the runs of others are in {store.path}")
