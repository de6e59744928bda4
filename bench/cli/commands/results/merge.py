"""Add the runs in FILES, say of other machines, that are not there yet; each run counts once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Results
from bench.runs import merging
from bench.runs.store import Store
from bench.text import streams, units
from bench.text.console import say, unfolded_console

DOUBTS_NAMED = 5


def merge(
    files: Annotated[
        list[Path],
        typer.Argument(help="Files of JSON lines, folders of them, or results folders; - is standard input."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be added, and add nothing.")] = False,
    results: Results = Path("results"),
) -> None:
    console = unfolded_console()
    store = Store(results / "runs" / "runs.jsonl")
    verb = "would be added" if dry_run else "added"
    if not dry_run:
        streams.work_outlasts_output()
    merged = merging.merge(store, files, dry_run)
    for one in merged:
        said = f", {units.counted(one.annotations, 'annotation')} {verb}" if one.annotations else ""
        say(console, f"{one.path}: {one.new} {verb}, {one.known} already there{said}")
        for doubt in one.impossible[:DOUBTS_NAMED]:
            say(console, f"{one.path}: impossible: {doubt}; no board ranks it")
        if len(one.impossible) > DOUBTS_NAMED:
            say(console, f"{one.path}: {len(one.impossible) - DOUBTS_NAMED} more runs have such numbers")
    say(console, f"{units.counted(sum(one.new for one in merged), 'run')} {verb} to {store.path}")
