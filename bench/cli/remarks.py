"""What a user says of runs: options of the commands that make or annotate them, and what they may hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

import typer

from bench.errors import UsageError
from bench.runs.annotation import Remarks

MOST_CHARS = 500
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/=+-]{0,63}")

Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A word to find the runs by; repeatable.")]
Note = Annotated[str | None, typer.Option(metavar="TEXT", help="What a reader of the runs should know.")]
MachineLabel = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What tables and boards call this machine, before its hardware."),
]


@dataclass(frozen=True)
class RemarkOptions:
    """What is said of runs that are about to be made."""

    tags: Tags = None
    note: Note = None
    machine_label: MachineLabel = None

    def checked(self) -> Remarks:
        """Raises UsageError for what a table could not show."""
        note = text(self.note, "--note")
        return Remarks(
            None, checked_tags(self.tags, "--tag"), (note,) if note else (), text(self.machine_label, "--machine-label")
        )


def checked_tags(tags: list[str] | None, option: str) -> tuple[str, ...]:
    """Raises UsageError for a tag that is no single word."""
    for tag in tags or ():
        if not _TAG.fullmatch(tag):
            raise UsageError(f"{option} {tag[:80]!r}: a tag is 1 to 64 letters, digits and . _ / = + -, without blanks")
    return tuple(dict.fromkeys(tags or ()))


def text(value: str | None, option: str) -> str | None:
    """The text without blanks around it. Raises UsageError unless it is one line of a bearable length."""
    if value is None:
        return None
    said = value.strip()
    if not said or len(said) > MOST_CHARS or not said.isprintable():
        raise UsageError(f"{option}: give 1 to {MOST_CHARS} printable characters on one line")
    return said
