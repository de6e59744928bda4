"""`bench export`, `bench check` and `bench import`: foreign formats, out and in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from bench.errors import MissingError, UsageError
from bench.exchange import dawnbench
from bench.exchange.dawnbench import ReadEntry
from bench.exchange.entry import Entry, InferenceEntry, Unfit
from bench.exchange.from_runs import Submitter, entry_of, remarks, stem
from bench.exchange.mllog import log_lines
from bench.exchange.to_runs import entry_back, run_of
from bench.runs.labels import is_imported
from bench.runs.lookup import find_runs
from bench.runs.run import Run
from bench.runs.store import Store
from bench.text import streams, units
from bench.text.console import say

T = TypeVar("T")
# File systems take 255 bytes; the name of a run and a suffix come after.
MOST_NAME_CHARS = 200
MOST_UNREAD_NAMED = 5


def export_dawnbench(
    references: Sequence[str], submitter: Submitter, results: Path, out: Path, console: Console
) -> None:
    """Write an entry for each run that makes one. Raises `UsageError` where none does."""

    def entry_for(run: Run) -> Entry:
        return entry_back(run) if is_imported(run) else entry_of(run, submitter)

    for run, entry in _each(find_runs(references, results), entry_for, console):
        name = _file_name(run.recipe) if is_imported(run) else stem(entry)
        path = dawnbench.path_of(entry, out, name)
        with _writing(path):
            if path.exists() and dawnbench.read(path).entry != entry:
                # Another run of the same network on the same machine is there.
                path = path.with_name(f"{name}_{_file_name(run.run_id[-8:])}.json")
            files = dawnbench.write(entry, path)
        for file in files:
            say(console, f"{file}")
        for note in [] if is_imported(run) else remarks(run):
            say(console, f"  note: {note}")


def export_mllog(references: Sequence[str], results: Path, out: Path, console: Console) -> None:
    """Write a log file for each run that makes one. Raises `UsageError` where none does."""
    for run, lines in _each(find_runs(references, results), log_lines, console):
        path = out / f"{_file_name(run.run_id)}.log"
        with _writing(path):
            out.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        say(console, f"{path}")


def check(paths: Sequence[Path], console: Console) -> int:
    """Say what is wrong with each entry; 1 where something is, else 0. Raises `UsageError` for what is no entry."""
    readings = [dawnbench.read(path) for path in dawnbench.find(paths)]
    _say_unread(paths, console)
    for reading in readings:
        say(console, _verdict(reading))
        for error in reading.errors:
            say(console, f"  error: {error}")
        for warning in reading.warnings:
            say(console, f"  warning: {warning}")
    others = sum(reading.other_task is not None for reading in readings)
    invalid = sum(reading.entry is None for reading in readings) - others
    valid = len(readings) - invalid - others
    say(console, f"{valid} valid, {invalid} invalid{f', {others} of other tasks' if others else ''}")
    return 1 if invalid or not valid else 0


def import_entries(paths: Sequence[Path], results: Path, console: Console) -> None:
    """Add the entries to the runs, those that are there already not again.

    Those of other tasks are left out and named. Raises `UsageError` with all that is wrong, if anything is, and then
    adds none.
    """
    streams.work_outlasts_output()
    readings = [dawnbench.read(path) for path in dawnbench.find(paths)]
    _say_unread(paths, console)
    for reading in readings:
        if reading.other_task is not None:
            say(console, f"left out: {_verdict(reading)}")
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


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raises `MissingError` where a file cannot be written."""
    try:
        yield
    except OSError as error:
        raise MissingError(f"{path} cannot be written: {error.strerror}; name another folder with --out") from None


def _each(runs: Sequence[Run], make: Callable[[Run], T], console: Console) -> list[tuple[Run, T]]:
    """What is made of each run; those that are unfit are left out and named, unless all are: then it raises."""
    made, unfit = [], []
    for run in runs:
        try:
            made.append((run, make(run)))
        except Unfit as error:
            unfit.append(str(error))
    if not made:
        raise UsageError("\n".join(unfit))
    for line in unfit:
        say(console, f"left out: {line}")
    return made


def _say_unread(paths: Sequence[Path], console: Console) -> None:
    """What in the folders was passed over, a line each for the first."""
    unread = dawnbench.unread(paths)
    for path in unread[:MOST_UNREAD_NAMED]:
        say(console, f"{path}: not read; an entry is a .json file, with a .tsv file of the same stem for training")
    if len(unread) > MOST_UNREAD_NAMED:
        say(console, f"… and {len(unread) - MOST_UNREAD_NAMED} more files that are no entries")


def _file_name(text: str) -> str:
    """A name from a record, which may come from others, as one that stays in its folder."""
    return re.sub(r"[/\\\x00-\x1f]", "-", text)[:MOST_NAME_CHARS]


def _verdict(reading: ReadEntry) -> str:
    entry = reading.entry
    if reading.other_task is not None:
        return f"{reading.path}: another task, {reading.other_task}; only those of CIFAR10 are read here"
    if entry is None:
        return f"{reading.path}: invalid"
    if isinstance(entry, InferenceEntry):
        cost = "" if entry.cost_usd is None else f", {units.dollars(entry.cost_usd * 10_000)} for 10,000 images"
        return f"{reading.path}: valid: {entry.latency_ms:g} ms an image at {entry.top1_percent:.2f} %{cost}"
    cost = "" if entry.cost_usd is None else f", {units.dollars(entry.cost_usd)}"
    row = entry.result
    return (
        f"{reading.path}: valid: {row.top1_percent:.2f} % in {units.duration(entry.time_s)}{cost}, epoch {row.epoch:g}"
    )
