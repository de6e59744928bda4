"""Leaderboards in short, a line a board: for a terminal, as Markdown and as CSV."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from bench.report.terminal.leaderboard import (
    SHOW,
    csv_text,
    escaped,
    goal,
    markdown_line,
    markdown_system,
    say_folded,
    show_accuracy,
    show_figure,
    show_n,
    show_rank,
)
from bench.scores.leaderboard import Board, Row
from bench.scores.summary import Summary, summarise
from bench.text import units
from bench.text.console import visible
from bench.text.fitting import LOG_WIDTH
from bench.text.folding import folded

HEADINGS = ("rule book", "published", "system", "best here", "± 95 %", "system", "accuracy", "n", "date", "rank")
SYSTEMS = (2, 5)
RIGHT = (1, 3, 4, 6, 7)
MARGIN, N = 4, 7
GAP = "  "
# In a smaller column a name says nothing.
LEAST_SYSTEM = 12
# A narrower terminal shows half of an interval, as a share of its figure, in place of both ends.
WIDTH_OF_INTERVALS = 120
MARKED = "* not every run reached the target, or some were contended or cut short"
HOW_TO_READ = "Each rule book has a clock of its own, so a time compares only with those of its line."
WHOLE = (
    "bench leaderboard --task TASK, --rule RULE, or --all prints whole boards: "
    "every row, its interval, and why it has no rank."
)
CSV_COLUMNS = (
    "task", "target_accuracy", "rule", "metric", "unit", "published", "published_system", "published_author",
    "published_source", "value", "low", "high", "system", "hardware", "accuracy", "n", "date", "rank", "ranked",
    "reason",
)  # fmt: skip


class Reasons:
    """Why boards rank nothing of ours: each reason once, with a letter and how many boards it is of."""

    def __init__(self, summaries: Sequence[Summary]) -> None:
        self._folded = folded((one.reason for one in summaries if one.reason), "board")
        self.letters: dict[str, str] = {}

    def refer(self, reason: str) -> str:
        told = self._folded[reason]
        return self.letters.setdefault(told, _letter(len(self.letters)))


def print_summaries(console: Console, boards: Sequence[Board]) -> None:
    """Print a line a board, below a line for each task and target, and then the reasons of missing ranks."""
    summaries = [summarise(board) for board in boards]
    reasons = Reasons(summaries)
    width = console.width if console.is_terminal else max(console.width, LOG_WIDTH)
    rows = [_cells(one, reasons, width >= WIDTH_OF_INTERVALS) for one in summaries]
    headings = list(HEADINGS)
    if not any(row[MARGIN] for row in rows):
        headings[MARGIN] = ""
    lines = _aligned([headings, *rows], width)
    say_folded(console, HOW_TO_READ)
    console.print(Text(next(lines), style="dim"), soft_wrap=True)
    for name, alike in groupby(summaries, key=lambda one: goal(one.board)):
        console.print(Text(visible(name), style="bold"), soft_wrap=not console.is_terminal)
        for _ in alike:
            console.print(Text(next(lines)), soft_wrap=True)
    if any("*" in row[N] for row in rows):
        say_folded(console, MARKED)
    for told, letter in reasons.letters.items():
        say_folded(console, f"{letter}{GAP}{told}")


def summaries_to_markdown(boards: Sequence[Board]) -> str:
    """A table with a row a board: author and source of the best published result, the best here, its rank or the
    reason why it has none."""
    heads = ["task", "rule book", "best published", "best here", "accuracy", "n", "date", "rank"]
    lines = [markdown_line(heads), markdown_line(["---", "---", "---", "---", "---:", "---:", "---", "---"])]
    for board in boards:
        one = summarise(board)
        published = [_value(one, one.published), markdown_system(one.published)] if one.published else []
        ours = one.ours
        here = [show_figure(ours.figures.get(board.metric), board.metric), ours.system, ours.hardware] if ours else []
        facts = [show_accuracy(ours), show_n(ours), ours.date or units.MISSING] if ours else [units.MISSING] * 3
        values = [escaped(goal(board)), escaped(board.rule.name), ", ".join(published) or units.MISSING]
        values += [escaped(", ".join(here)) or units.MISSING, *map(escaped, facts), escaped(_rank(one))]
        lines.append(markdown_line(values))
    return "\n".join([*lines, "", HOW_TO_READ, ""])


def summaries_to_csv(boards: Sequence[Board]) -> str:
    """CSV with a line a board, in plain values."""
    return csv_text(CSV_COLUMNS, map(_bare, map(summarise, boards)))


def _bare(one: Summary) -> list[object]:
    board, theirs, ours = one.board, one.published, one.ours
    best = theirs.figures[board.metric] if theirs else None
    figure = ours.figures.get(board.metric) if ours else None
    unit = next((estimate.unit for estimate in (figure, best) if estimate), None)
    return [
        board.task, board.target_accuracy, board.rule.name, board.metric, unit,
        *([best.value, theirs.system, theirs.author] if theirs and best else [None] * 3),
        theirs.record.source if theirs and theirs.record else None,
        *([figure.value, figure.low, figure.high] if figure else [None] * 3),
        *([ours.system, ours.hardware, ours.accuracy, ours.n, ours.date, ours.rank] if ours else [None] * 6),
        len(board.ranked), one.reason,
    ]  # fmt: skip


def _cells(one: Summary, reasons: Reasons, with_intervals: bool) -> list[str]:
    """The columns of HEADINGS."""
    theirs, ours, metric = one.published, one.ours, one.board.metric
    figure, margin = _value(one, ours), _margin(one)
    if ours and with_intervals:
        figure, margin = show_figure(ours.figures.get(metric), metric), ""
    facts = [show_accuracy(ours), _n(ours), ours.date or units.MISSING] if ours else [units.MISSING] * 3
    cells = [
        f"{GAP}{one.board.rule.name}",
        _value(one, theirs),
        (f"{theirs.system}, {theirs.author}" if theirs.author else theirs.system) if theirs else "",
        figure,
        margin,
        f"{ours.system}, {ours.hardware}" if ours else "",
        *facts,
        f"none ({reasons.refer(one.reason)})" if one.reason else _rank(one),
    ]
    return [" ".join(visible(cell).split()) if position else cell for position, cell in enumerate(cells)]


def _value(one: Summary, row: Row | None) -> str:
    metric = one.board.metric
    return SHOW[metric](row.figures[metric].value if row and metric in row.figures else None)


def _margin(one: Summary) -> str:
    """Half of the 95 % interval as a share of the figure; empty where the runs do not allow one."""
    figure = one.ours.figures.get(one.board.metric) if one.ours else None
    ends = figure.useful_ends if figure else None
    if figure is None or ends is None or figure.value <= 0:
        return ""
    share = 100 * (ends[1] - ends[0]) / 2 / figure.value
    return "∞" if math.isinf(share) else f"{share:.2g} %" if share < 10 else f"{share:.0f} %"


def _n(row: Row) -> str:
    """The number of runs, marked where `show_n` says more of them."""
    return show_n(row).partition(" ")[0] + ("*" if " " in show_n(row) else "")


def _rank(one: Summary) -> str:
    """`2= of 12`, or why there is none."""
    if one.reason or one.ours is None:
        return f"none: {one.reason}"
    return f"{show_rank(one.ours)} of {len(one.board.ranked)}"


def _aligned(rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """The rows as lines of that width; margins and names of systems without room are left out, or names are cut."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    if _fixed(widths) - len(GAP) > width:
        widths[MARGIN] = 0
    spare = (width - _fixed(widths) + len(GAP)) // len(SYSTEMS) - len(GAP)
    for position in SYSTEMS:
        widths[position] = min(widths[position], spare) if spare >= LEAST_SYSTEM else 0
    for row in rows:
        yield GAP.join(
            _padded(cell, size, position in RIGHT)
            for position, (cell, size) in enumerate(zip(row, widths, strict=True))
            if size
        ).rstrip()


def _fixed(widths: Sequence[int]) -> int:
    """What the columns take that are not cut, each with the gap behind it."""
    return sum(size + len(GAP) for position, size in enumerate(widths) if position not in SYSTEMS and size)


def _padded(cell: str, size: int, right: bool) -> str:
    if cell_len(cell) > size:
        return set_cell_size(cell, size - 1) + "…"
    padding = " " * (size - cell_len(cell))
    return padding + cell if right else cell + padding


def _letter(number: int) -> str:
    """a, b, … z, aa, ab, …"""
    first, last = divmod(number, 26)
    return (_letter(first - 1) if first else "") + chr(ord("a") + last)
