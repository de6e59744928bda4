"""What the gate found of each commit, kept in git notes and chained along a line of commits.

Notes, and no file on a branch: a note belongs to its commit without changing it, writing one needs no checkout, two
jobs that note at once are merged line by line (`git notes merge -s cat_sort_uniq`), and `git push origin
refs/notes/bench` shares them. What is kept is ratios of commits that were measured beside each other, so a line can
pass over several machines.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any

from bench.errors import UsageError
from bench.gate.quantity import Quantity, quantity_of
from bench.gate.verdict import LEAST_ROUNDS, Case
from bench.host.git import SHORT_COMMIT, GitFailed, git
from bench.statistics import shift
from bench.statistics.change_points import Change, CommitComparison, Level, find_changes, levels

REF = "refs/notes/bench"
SCHEMA = 1
DIGITS = 6
# The interval that a standard error is taken from, one-sided.
LEVEL = 0.05
NORMAL = 1.6449
# A hundredth of a percent: no figure is known better, however equal its values are.
LEAST_ERROR = 1e-4


@dataclass(frozen=True)
class Figure:
    """One quantity of one cell: the pairs' rises (logarithms of head / base, or head - base), and both medians."""

    cell: str
    measure: str
    metric: str
    rises: Sequence[float]
    base: float
    head: float

    @property
    def quantity(self) -> Quantity | None:
        """None for one that this version does not know."""
        return quantity_of(self.measure, self.metric)


@dataclass(frozen=True)
class NotedComparison:
    """One comparison of two commits; `base` and `head` are their full names."""

    base: str
    head: str
    at: str
    machine: str
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Commit:
    """A commit of the line, and what is noted of it."""

    name: str
    date: str
    subject: str
    entries: Sequence[NotedComparison] = ()


@dataclass(frozen=True)
class Chain:
    """One quantity of one cell along a line: its comparisons by the commits' positions, and what follows from them.

    `raw` has each comparison's median of head, with the machine it was measured on, by position.
    """

    cell: str
    quantity: Quantity
    comparisons: Sequence[CommitComparison]
    changes: Sequence[Change]
    levels: Sequence[Level]
    raw: Sequence[tuple[int, float, str]] = field(default=())


def figure_of(cell: str, measure: str, case: Case) -> Figure:
    """What a case amounts to, in so many digits as are known."""
    pairs = list(zip(case.base, case.head, strict=False))
    if case.quantity.scale == "ratio":
        rises = [math.log(head / base) for base, head in pairs]
        base, head = median(case.base), median(case.head)
    else:
        rises = [head - base for base, head in pairs]
        base, head = fmean(case.base), fmean(case.head)
    return Figure(cell, measure, case.quantity.metric, [round(rise, DIGITS) for rise in rises], base, head)


def entry_of(base: str, head: str, machine: str, figures: Sequence[Figure]) -> NotedComparison:
    """A comparison that was made now."""
    return NotedComparison(base, head, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", machine, figures)


def write(top: Path, entry: NotedComparison) -> None:
    """Add an entry to the notes of its head. Raises UsageError where git does not take it."""
    line = json.dumps({"schema": SCHEMA, **asdict(entry)}, sort_keys=True)
    try:
        git(top, *_identity(top), "notes", f"--ref={REF}", "append", "-F", "-", entry.head, stdin=line)
    except GitFailed as error:
        raise UsageError(f"the note of {entry.head[:SHORT_COMMIT]} cannot be written: {error}") from None


def read(top: Path, revision: str = "HEAD") -> list[Commit]:
    """The line of first parents that ends at `revision`, oldest first. Raises UsageError for an unknown revision."""
    form = "--format=%x01%H%x00%cI%x00%s%x00%N"
    try:
        told = git(
            top, "log", "--first-parent", "--reverse", form, f"--notes={REF}", "--end-of-options", revision, "--"
        )
    except GitFailed as error:
        raise UsageError(f"{revision}: {error.reason}") from None
    return [_commit(part) for part in told.split("\x01")[1:]]


def chains(commits: Sequence[Commit]) -> tuple[list[Chain], list[str]]:
    """A chain for each quantity that was compared, and what should be said of comparisons that have no place in it."""
    position = {commit.name: at for at, commit in enumerate(commits)}
    found: dict[tuple[str, str, str], list[tuple[CommitComparison, float, str]]] = {}
    elsewhere: set[str] = set()
    for commit in commits:
        for number, entry in enumerate(commit.entries):
            if entry.base not in position or position[entry.base] >= position[entry.head]:
                elsewhere.add(f"{entry.base[:SHORT_COMMIT]} and {entry.head[:SHORT_COMMIT]}")
                continue
            later = commit.entries[number + 1 :]
            for figure in entry.figures:
                if figure.quantity is None or _is_noted_again(entry, figure, later):
                    continue
                if (known := estimate(figure.rises, figure.quantity)) is None:
                    continue
                one = CommitComparison(position[entry.base], position[entry.head], *known)
                found.setdefault((figure.cell, figure.measure, figure.metric), []).append(
                    (one, figure.head, entry.machine)
                )
    made = []
    for (cell, measure, metric), several in found.items():
        quantity = quantity_of(measure, metric)
        assert quantity is not None  # figures of unknown ones were left out above
        comparisons = [one for one, _, _ in several]
        raw = [(one.head, value, machine) for one, value, machine in several]
        made.append(Chain(cell, quantity, comparisons, find_changes(comparisons), levels(comparisons), raw))
    notes = [f"left out: {pair} were compared, which are not both on this line" for pair in sorted(elsewhere)]
    return made, notes


def _is_noted_again(entry: NotedComparison, figure: Figure, later: Sequence[NotedComparison]) -> bool:
    """Whether a later call went on from the pairs of this one, and noted them with its own; they count once."""
    return any(
        (one.base, one.machine, again.cell, again.measure, again.metric)
        == (entry.base, entry.machine, figure.cell, figure.measure, figure.metric)
        and list(again.rises[: len(figure.rises)]) == list(figure.rises)
        for one in later
        for again in one.figures
    )


def estimate(rises: Sequence[float], quantity: Quantity) -> tuple[float, float] | None:
    """The rise and its standard error, by what the gate judges with; None for too few pairs."""
    if len(rises) < (LEAST_ROUNDS if quantity.scale == "ratio" else 2):
        return None
    zeros = [0.0] * len(rises)
    moved = shift.of_pairs(zeros, rises) if quantity.scale == "ratio" else shift.means_of_pairs(zeros, rises)
    low, high = moved.interval(LEVEL)
    return float(moved.estimate), max((high - low) / 2 / NORMAL, LEAST_ERROR)


def _identity(top: Path) -> list[str]:
    """Who writes the note, where git does not know; it is asked in CI by nobody."""
    try:
        git(top, "var", "GIT_COMMITTER_IDENT")
    except GitFailed:
        return ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    return []


def _commit(part: str) -> Commit:
    name, date, subject, notes = part.split("\0", 3)
    lines = [line for line in notes.splitlines() if line.startswith("{")]
    return Commit(name, date, subject, [entry for line in lines if (entry := _entry(line, name)) is not None])


def _entry(line: str, head: str) -> NotedComparison | None:
    """None for what another version, or a person, wrote; a rebase may have taken the note to another commit."""
    try:
        values: dict[str, Any] = json.loads(line)
        if values.pop("schema") != SCHEMA or values["head"] != head:
            return None
        figures = [Figure(**figure) for figure in values.pop("figures")]
        return NotedComparison(**values, figures=figures)
    except (ValueError, KeyError, TypeError):
        return None
