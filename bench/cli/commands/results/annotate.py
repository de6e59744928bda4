"""Say something of recorded runs: that one does not count, tags, notes, the name of its machine.

A line of its own is appended to the file of the run, and the record stays as it is.
Leaderboards, tables and reports honour what was said, and show it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace
from rich.console import Console

from bench.cli.options import Results
from bench.cli.remarks import MachineLabel, Note, Tags, checked_tags, text
from bench.errors import UsageError
from bench.runs.annotation import SCHEMA, Annotation
from bench.runs.lookup import PUBLISHED, find_places
from bench.runs.run import new_run_id
from bench.runs.store import Store, each_record, head_of, jsonl_files
from bench.text import streams, units
from bench.text.console import say


def annotate(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN…", help="The beginning of a run's id, `last`, or a .jsonl file: all its runs."),
    ],
    console: Console,
    invalid: Annotated[
        str | None, typer.Option(metavar="REASON", help="Declare them invalid: no board ranks them, no mean has them.")
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
    by_file: dict[Path, dict[str, None]] = defaultdict(dict)
    for run, path in find_places(runs, results):
        by_file[path][run.run_id] = None
    lines = {
        run_id: replace(said, annotates=run_id, id=new_run_id()).to_json_line()
        for run_ids in by_file.values()
        for run_id in run_ids
    }
    # A published copy of the record must say the same; an annotation counts once, wherever it stands.
    for path, run_ids in _copies(results / PUBLISHED, lines).items():
        by_file[path] |= run_ids
    streams.work_outlasts_output()
    for path, run_ids in by_file.items():
        _append(path, [lines[run_id] for run_id in run_ids])
        for run_id in run_ids if len(run_ids) <= units.ID_DIGITS else ():
            say(console, f"{run_id}: {told}")
        say(console, f"{units.counted(len(run_ids), 'annotation')} appended to {path}")


def _append(path: Path, lines: list[bytes]) -> None:
    Store(path).extend(lambda: lines)


def _copies(folder: Path, wanted: Container[str]) -> dict[Path, dict[str, None]]:
    """The files of the folder that hold wanted runs, each with their ids."""

    def decode(line: bytes) -> str | None:
        head = head_of(line)
        return head[0] if head is not None and head[0] in wanted else None

    files = jsonl_files([folder]) if folder.is_dir() else []
    copies = {path: dict.fromkeys(each_record(path, decode)) for path in files}
    return {path: run_ids for path, run_ids in copies.items() if run_ids}


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
