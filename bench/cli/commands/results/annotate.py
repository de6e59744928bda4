"""Say something of recorded runs: that one does not count, tags, notes, the name of its machine.

A line of its own is appended to the file of the run, and the record stays as it is.
Leaderboards, tables and reports honour what was said, and show it.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace
from rich.console import Console

from bench.cli.options import Results
from bench.cli.remarks import MachineLabel, Note, Tags, checked_tags, text
from bench.errors import UsageError
from bench.runs.annotation import SCHEMA, Annotation
from bench.runs.lookup import find_places
from bench.runs.run import new_run_id
from bench.runs.store import Store
from bench.text import streams, units
from bench.text.console import say


def annotate(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN…", help="The beginning of a run's id, `last`, or a .jsonl file: all its runs."),
    ],
    console: Console,
    invalid: Annotated[
        str | None, typer.Option(metavar="REASON", help="They do not count: no board ranks them, no mean holds them.")
    ] = None,
    valid: Annotated[bool, typer.Option("--valid", help="Take an earlier --invalid back.")] = False,
    tags: Tags = None,
    untag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="Take a tag away; repeatable.")] = None,
    note: Note = None,
    machine_label: MachineLabel = None,
    results: Results = Path("results"),
) -> None:
    """Raises `UsageError` for unknown runs, or where nothing is said, `StoreError` where it cannot be kept."""
    if invalid is not None and valid:
        raise UsageError("--invalid and --valid contradict each other; leave one out")
    said = Annotation(
        annotates="",
        id="",
        schema=SCHEMA,
        invalid=text(invalid, "--invalid"),
        valid=valid,
        tags=list(checked_tags(tags, "--tag")),
        untag=list(checked_tags(untag, "--untag")),
        note=text(note, "--note"),
        machine_label=text(machine_label, "--machine-label"),
    )
    told = _told(said)
    if not told:
        raise UsageError("nothing is said of them: give --invalid, --valid, --tag, --untag, --note or --machine-label")
    by_file: dict[Path, list[str]] = defaultdict(list)
    for run, path in find_places(runs, results):
        by_file[path].append(run.run_id)
    streams.work_outlasts_output()
    for path, run_ids in by_file.items():
        _append(path, said, run_ids)
        for run_id in run_ids if len(run_ids) <= units.ID_DIGITS else ():
            say(console, f"{run_id}: {told}")
        say(console, f"{units.counted(len(run_ids), 'annotation')} appended to {path}")


def _append(path: Path, said: Annotation, run_ids: list[str]) -> None:
    lines = [replace(said, annotates=run_id, id=new_run_id()).to_json_line() for run_id in run_ids]
    Store(path).extend(lambda: lines)


def _told(said: Annotation) -> str:
    parts = [
        f"invalid: {said.invalid}" if said.invalid else "",
        "valid again" if said.valid else "",
        f"tagged {', '.join(said.tags)}" if said.tags else "",
        f"no longer tagged {', '.join(said.untag)}" if said.untag else "",
        f"note: {said.note}" if said.note else "",
        f"machine called {said.machine_label}" if said.machine_label else "",
    ]
    return "; ".join(filter(None, parts))
