"""The subject of `bench regress --base`: two revisions of a repository, opened as two sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.errors import UsageError
from bench.gate.paired_cell import PairedCell
from bench.gate.paired_comparison import Arm
from bench.gate.report import Side
from bench.host.git import SHORT_COMMIT
from bench.spec import matrix as matrices

SAME_SOURCES = "both sides are the same sources, so that every difference is noise"


@dataclass
class Sides:
    """Both sides, ready to be measured, and their cells.

    `key` must be equal for runs of two calls to count together; `notes` are remarks on the sides.
    """

    base: Arm
    head: Arm
    cells: list[PairedCell]
    key: dict[str, Any]
    notes: list[str] = field(default_factory=list)


class Subject(Protocol):
    """A base and a head of one repository, whose top is `top`."""

    @property
    def top(self) -> Path: ...

    @property
    def base(self) -> Side:
        """The name and code of the base; complete after the sides were opened."""

    @property
    def head(self) -> Side:
        """The name and code of head."""

    def open(self, place: int, open_sides: ExitStack) -> Sides:
        """Check out and prepare both sides; they are removed with `open_sides`.

        Each `place` is another folder, with a path of another length. Raises UsageError, MissingError for a base that
        cannot be run, and BenchError for such a head.
        """

    def check_unchanged(self) -> None:
        """Raises UsageError if the sources were changed while they were measured."""


def base_side(revision: str, commit: str) -> Side:
    """The base before it is opened: its name, by the revision as it was given."""
    return Side(f"{revision} ({commit[:SHORT_COMMIT]})")


def name_of(code: Mapping[str, Any], without: str = "these sources") -> str:
    """A shortened commit, and whether there are changes; `without` where there is no commit."""
    commit = code.get("commit")
    if not commit:
        return without
    return f"{commit[:SHORT_COMMIT]}{' with changes' if code.get('dirty') else ''}"


def matrix_files(names: Sequence[str]) -> list[Path]:
    """The files of these matrices, each once.

    Raises UsageError for one that is not there or wrong, and for two of one name, by which results are kept.
    """
    by_name: dict[str, Path] = {}
    for name in names:
        path = matrices.load(name).path.resolve()
        if by_name.setdefault(path.stem, path) != path:
            raise UsageError(f"{by_name[path.stem]} and {path} have one name; rename one, or call twice")
    return list(by_name.values())
