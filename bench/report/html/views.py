"""What the templates show of boards, rows and cells: plain text, and numbers to sort by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.report.html.cells import CellPage, free_name
from bench.report.terminal.leaderboard import (
    KINDS,
    SHOW,
    Footnotes,
    sections,
    show_accuracy,
    show_figure,
    show_n,
    show_rank,
    title,
)
from bench.report.terminal.summary import SPANS
from bench.runs.labels import flat, show
from bench.runs.run import Run
from bench.scores.leaderboard import Board, Metric, Row
from bench.scores.rules import Kind, Timing, position
from bench.scores.summary import summarise
from bench.text import units

COMMANDS_SHOWN = 3
# A browser would take seconds to open a longer table.
MOST_ROWS = 1000
Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class RowView:
    """A row of a board; `page` is that of its cell, None for results of others."""

    row: Row
    rank: str
    place: float
    figures: list[tuple[str, str, float | str]]
    accuracy: str
    n: str
    kind: str
    notes: str
    facts: Pairs
    clock: list[tuple[str, Pairs]]
    commands: list[str]
    page: str | None


@dataclass(frozen=True)
class SectionView:
    """A part of a board: its first MOST_ROWS rows and the number of further rows."""

    name: str
    rows: list[RowView]
    left_out: int


@dataclass(frozen=True)
class BoardView:
    """A board; `metrics` are the columns of figures, starting with the ranking one."""

    board: Board
    name: str
    title: str
    metrics: list[Metric]
    sections: list[SectionView]
    footnotes: list[tuple[int, str]]


def board_views(boards: Iterable[Board], pages: Mapping[Kind, str]) -> list[BoardView]:
    """Each with a file name of its own: tasks of users may differ in characters that no file name has."""
    taken: set[str] = set()
    views = [board_view(board, pages) for board in boards]
    return [replace(view, name=free_name(view.name, taken)) for view in views]


def board_view(board: Board, pages: Mapping[Kind, str]) -> BoardView:
    footnotes = Footnotes(board.rows)
    others = [metric for metric in SHOW if any(metric in row.figures for row in board.rows) and metric != board.metric]
    metrics = [board.metric, *others]
    parts = [
        SectionView(
            name, [_row_view(row, metrics, footnotes, pages) for row in rows[:MOST_ROWS]], max(0, len(rows) - MOST_ROWS)
        )
        for name, rows in sections(board)
    ]
    numbered = [(number, note) for note, number in footnotes.numbers.items()]
    return BoardView(board, board_name(board), title(board), metrics, parts, numbered)


def board_name(board: Board) -> str:
    """The file name of its page, without the suffix."""
    plain = f"{board.rule.name}-{board.task}-{100 * board.target_accuracy:g}".replace(".", "_")
    return re.sub(r"[^A-Za-z0-9_-]+", "-", plain)


def _row_view(row: Row, metrics: Sequence[Metric], footnotes: Footnotes, pages: Mapping[Kind, str]) -> RowView:
    figures: list[tuple[str, str, float | str]] = []
    for metric in metrics:
        estimate = row.figures.get(metric)
        value, _, interval = show_figure(estimate, metric).partition(" (")
        figures.append((value, interval.rstrip(")"), estimate.value if estimate else ""))
    return RowView(
        row=row,
        rank=show_rank(row),
        place=row.rank or row.standing or 0,
        figures=figures,
        accuracy=show_accuracy(row),
        n=show_n(row),
        kind=KINDS[row.kind],
        notes=footnotes.refer([*row.reasons, *row.notes]),
        facts=_record_facts(row) if row.record else run_facts(row.runs[0]),
        clock=clock_parts(row.score.timings) if row.score else [],
        commands=commands(row.runs),
        page=pages.get(Kind.of(row.runs[0])) if row.runs else None,
    )


def clock_parts(timings: Sequence[Timing]) -> list[tuple[str, Pairs]]:
    """Mean seconds by span, on and off the rule's clock."""
    parts = []
    for name, spent in (("on this clock", [t.counted for t in timings]), ("off it", [t.uncounted for t in timings])):
        shown = [(span, units.duration(seconds)) for span, seconds in mean_spans(spent).items() if seconds >= 0.0005]
        if shown:
            parts.append((name, shown))
    return parts


def mean_spans(spent: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean seconds of each span over runs, in order of appearance."""
    names = dict.fromkeys(name for one in spent for name in one)
    return {name: sum(one.get(name, 0.0) for one in spent) / len(spent) for name in names}


def run_facts(run: Run) -> Pairs:
    """The origin of a run, one fact a line."""
    code, data = run.code, run.data
    commit = str(code.get("commit") or "")[:12]
    changed = ", with uncommitted changes" if code.get("dirty") else ""
    checked = data.get("official")
    official = "" if checked is None else "the publisher's files" if checked else "not the publisher's files"
    facts = {
        "code": f"{commit}{changed}" if commit else "",
        "data": ", ".join(
            filter(None, [str(data.get("name") or ""), str(data.get("fingerprint") or "")[:12], official])
        ),
        "machine": str(run.machine.get("id") or ""),
        "torch": run.versions.get("torch", ""),
        "made with": run.versions.get("framework", ""),
    }
    return [(name, value) for name, value in facts.items() if value]


def _record_facts(row: Row) -> Pairs:
    assert row.record is not None
    record = row.record
    facts = {
        "clock": record.clock,
        "framework": record.framework,
        "precision": record.precision,
        "epochs": None if record.epochs is None else f"{record.epochs:g}",
        "price": None if record.price_per_hour is None else f"${record.price_per_hour:g} an hour",
    }
    return [(name, value) for name, value in facts.items() if value]


def commands(runs: Iterable[Run]) -> list[str]:
    """The commands that repeat a run, at its commit if it has one."""
    found: dict[str, None] = {}
    for run in runs:
        if run.command:
            commit = run.code.get("commit")
            known = isinstance(commit, str) and re.fullmatch(r"[0-9a-f]{7,64}", commit) and not run.code.get("dirty")
            found[f"git checkout {commit}\n{run.repeated_by}" if known else run.repeated_by] = None
    return list(found)[:COMMANDS_SHOWN]


@dataclass(frozen=True)
class RuleView:
    """One cell under one rule."""

    board: Board
    name: str
    row: Row
    value: str


def verdicts(views: Iterable[BoardView]) -> dict[Kind, list[RuleView]]:
    """The verdict of every board on each of our cells."""
    found: dict[Kind, list[RuleView]] = {}
    for view in views:
        board = view.board
        for row in (*board.ranked, *board.unranked):
            if row.runs:
                value = show_figure(row.figures.get(board.metric), board.metric)
                found.setdefault(Kind.of(row.runs[0]), []).append(RuleView(board, view.name, row, value))
    for of_cell in found.values():
        of_cell.sort(key=lambda view: position(view.board.rule.name))
    return found


def spans_by_rule(views: Sequence[RuleView]) -> list[tuple[str, str, list[str]]]:
    """The mean seconds of each span, and how many of them each rule counts (empty for none)."""
    scores = [view.row.score for view in views]
    if not scores or scores[0] is None:
        return []
    counted = [mean_spans([timing.counted for timing in score.timings]) for score in scores if score]
    off = mean_spans([timing.uncounted for timing in scores[0].timings])
    found = dict.fromkeys([*off, *(name for spans in counted for name in spans)])
    names = sorted(found, key=lambda name: SPANS.index(name) if name in SPANS else len(SPANS))
    rows = []
    for name in names:
        whole_s = counted[0].get(name, 0.0) + off.get(name, 0.0)
        if whole_s >= 0.0005:
            rows.append(
                (name, units.duration(whole_s), [units.duration(c[name]) if c.get(name) else "" for c in counted])
            )
    return rows


def config_pairs(values: Mapping[str, Any]) -> Pairs:
    """A nested config as pairs of dotted keys and values, without nulls."""
    return [(key, show(value)) for key, value in flat(values).items()]


@dataclass(frozen=True)
class Overview:
    """A board in one line: the best of others, and our best: the first ranked, else the fastest."""

    view: BoardView
    best: RowView | None
    own: RowView | None
    ranked: int
    unranked: int


def overviews(views: Iterable[BoardView]) -> dict[tuple[str, float], list[Overview]]:
    """The overviews of each task and target; those with most competitors come first."""
    tasks: dict[tuple[str, float], list[Overview]] = {}
    for view in views:
        tasks.setdefault((view.board.task, view.board.target_accuracy), []).append(overview(view))
    return dict(sorted(tasks.items(), key=lambda item: -sum(line.ranked for line in item[1])))


def overview(view: BoardView) -> Overview:
    shown = {id(line.row): line for section in view.sections for line in section.rows}
    short = summarise(view.board)
    best, own = shown.get(id(short.published)), shown.get(id(short.ours))
    return Overview(view, best, own, len(view.board.ranked), len(view.board.unranked))


def cell_row(cell: CellPage) -> dict[str, Any]:
    """The row of a cell in the table of all cells."""
    headline = cell.headline
    return {
        "cell": cell,
        "headline": headline[0] if headline else "",
        "value": headline[1] if headline else "",
        "accuracy": cell.judged,
        "margin": cell.margin,
        "accuracy_value": "" if cell.accuracy is None else cell.accuracy,
    }
