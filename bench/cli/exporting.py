"""What the exports share: which runs, and the files that are made of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from bench.errors import MissingError, UsageError
from bench.exchange.entry import Unfit
from bench.exchange.tracked_run import TrackedRun
from bench.runs.run import Run
from bench.text import units
from bench.text.console import say

T = TypeVar("T")
# File systems take 255 bytes; the name of a run and a suffix come after.
MOST_NAME_CHARS = 200

Runs = Annotated[
    list[str],
    typer.Argument(metavar="RUN…", help="The beginning of a run's id, `last`, or a .jsonl file: all its runs."),
]


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises `MissingError` where a file cannot be written."""
    try:
        yield
    except OSError as error:
        raise MissingError(f"{path} cannot be written: {error.strerror}; name another folder with --out") from None


def each(runs: Sequence[Run], make: Callable[[Run], T], console: Console) -> list[tuple[Run, T]]:
    """The result of `make` for each run. Unfit runs are left out and named; raises if all are unfit."""
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


def file_name(text: str) -> str:
    """A name from a record, which may come from others, as one that stays in its folder."""
    return re.sub(r"[/\\\x00-\x1f]", "-", text)[:MOST_NAME_CHARS]


def say_logged(console: Console, logged: Iterable[tuple[TrackedRun, object]], where: object, look: str) -> None:
    """Say how many runs a tracker has now, and how to look at them. `logged` has None for runs that were there."""
    added = [made is not None for _, made in logged]
    there = f", {added.count(False)} there already" if False in added else ""
    say(console, f"{units.counted(added.count(True), 'run')} added to {where}{there}; look: {look}")
