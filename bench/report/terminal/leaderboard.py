"""Leaderboards as text: for a terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.scores.leaderboard import Board, Metric, Row
from bench.statistics.estimates import Estimate
from bench.text import units
from bench.text.fitting import print_table
from bench.text.spreadsheet import harmless

# The default number of rows of a section on a terminal.
TERMINAL_ROWS = 10
SHOW: dict[Metric, Callable[[float | None], str]] = {
    "time": units.duration,
    "cost": units.dollars,
    "latency": units.milliseconds,
    "energy": units.energy,
}
# Entries of teams list all members.
AUTHOR_CHARS = 32
# The columns that a narrow terminal loses, first to last.
OPTIONAL = ("date", "accuracy", "n")
KINDS = {"run": "run here", "imported": "imported entry", "record": "published record"}
TIES = (
    "Rows that share a rank, as in 2=, are ties: their 95 % intervals overlap that of the first of them. "
    "A published record and a single run have no interval."
)
CSV_COLUMNS = (
    "rule", "task", "target_accuracy", "metric", "section", "rank", "tied", "standing", "kind", "system", "author",
    "hardware", "date", "n", "value", "low", "high", "unit", "accuracy", "reached", "reasons", "notes", "id", "source",
    "command",
)  # fmt: skip


class Footnotes:
    """Remarks of a board, each printed once and numbered in order of appearance."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def refer(self, notes: Iterable[str]) -> str:
        """The numbers of these remarks, such as `1 3`."""
        return " ".join(str(self.numbers.setdefault(note, len(self.numbers) + 1)) for note in notes)


def title(board: Board) -> str:
    """Such as `cifar10/train to 94 %, by dawnbench`."""
    return f"{board.task} to {100 * board.target_accuracy:g} %, by {board.rule.name}"


def show_rank(row: Row) -> str:
    """`2`, `2=` for a tie, `(2)` for the place that a figure of another clock would have."""
    if row.rank is None:
        return f"({row.standing})" if row.standing else units.MISSING
    return f"{row.rank}=" if row.tied else str(row.rank)


def show_figure(estimate: Estimate | None, metric: Metric) -> str:
    """`12.3 s`; with an interval `12.3 s (12.0 s to 12.7 s)`; for two runs with both values `12.3 s (12.0 s,
    12.6 s)`."""
    show = SHOW[metric]
    if estimate is not None and estimate.values:
        return f"{show(estimate.value)} ({', '.join(map(show, estimate.values))})"
    if estimate is None or estimate.low is None or estimate.high is None:
        return show(estimate.value if estimate else None)
    high = show(estimate.high) if estimate.high < float("inf") else "∞"
    # With few values, the interval may extend below zero.
    return f"{show(estimate.value)} ({show(max(0.0, estimate.low))} to {high})"


def show_accuracy(row: Row) -> str:
    """The mean or only accuracy; without one, the share of runs that reached the target."""
    if row.accuracy is None and row.reached is not None:
        return f"{row.reached} of {row.n} runs"
    return units.percent(row.accuracy)


def show_n(row: Row) -> str:
    """The number of runs and, of our own, how many reached the target, were contended or had too few samples."""
    if row.kind == "run" and row.n and row.reached is not None and row.reached < row.n:
        return f"{row.n} ({row.reached} reached)"
    if row.score and any(note.code == "contended" for note in row.score.footnotes):
        return f"{row.n} ({sum(bool(run.metrics.get('contended')) for run in row.runs) or 'some'} contended)"
    if cut := sum(run.is_cut_short for run in row.runs):
        return f"{row.n} ({cut} cut short)"
    return units.MISSING if row.n is None else str(row.n)


def sections(board: Board) -> list[tuple[str, Sequence[Row]]]:
    """The parts of a board that have rows, with their titles; the ranked part has an empty title."""
    parts = (
        ("", board.ranked),
        ("Not ranked, because they do not qualify", board.unranked),
        (
            "Measured by other clocks, so not comparable; in parentheses the place that the number would have",
            board.elsewhere,
        ),
    )
    return [(name, rows) for name, rows in parts if rows]


def cells(board: Board, row: Row, footnotes: Footnotes) -> list[str]:
    """The row as text in the order of `headings`; its remarks become footnotes."""
    return [
        show_rank(row),
        row.system if row.author is None else f"{row.system}, {_shortened(row.author)}",
        row.hardware,
        show_figure(row.figures.get(board.metric), board.metric),
        show_n(row),
        show_accuracy(row),
        row.date or units.MISSING,
        footnotes.refer([*row.reasons, *row.notes]),
    ]


def headings(board: Board) -> list[str]:
    return ["", "system", "hardware", board.metric, "n", "accuracy", "date", "notes"]


def print_boards(console: Console, boards: Sequence[Board], limit: int | None) -> None:
    """Print each board as tables; long sections show the first `limit` rows (0: all) and all rows of our own runs."""
    most = TERMINAL_ROWS if limit is None else limit
    for board in boards:
        footnotes = Footnotes()
        console.print(Text(title(board), style="bold"))
        _say(console, f"{board.metric}: {board.rule.clock}. Score: {board.rule.scoring}.")
        for name, rows in sections(board):
            if name:
                _say(console, f"{name}:")
            shown = [row for position, row in enumerate(rows) if not most or position < most or row.kind == "run"]
            print_table(console, _table(board, shown, footnotes), OPTIONAL)
            if len(shown) < len(rows):
                _say(console, f"… and {len(rows) - len(shown)} more; --limit 0 shows all")
        for note, number in footnotes.numbers.items():
            _say(console, f"  {number} {note}")
        _say(console, "")
    _say(console, TIES)


def to_markdown(boards: Sequence[Board], limit: int | None = None) -> str:
    """A heading, its tables and its footnotes for each board."""
    lines: list[str] = []
    for board in boards:
        footnotes = Footnotes()
        lines += [f"## {_escaped(title(board))}", ""]
        lines += [f"{_escaped(board.metric)}: {_escaped(board.rule.clock)}. Score: {_escaped(board.rule.scoring)}.", ""]
        for name, rows in sections(board):
            lines += [f"{name}:", ""] if name else []
            lines += [_line(headings(board)), _line(["---:", "---", "---", "---:", "---:", "---:", "---", "---"])]
            kept = [row for position, row in enumerate(rows) if not limit or position < limit or row.kind == "run"]
            lines += [_line(map(_escaped, cells(board, row, footnotes))) for row in kept]
            lines += [""] + ([f"… and {len(rows) - len(kept)} more", ""] if len(kept) < len(rows) else [])
        lines += [f"{number}. {_escaped(note)}" for note, number in footnotes.numbers.items()]
        lines += [""] if footnotes.numbers else []
    return "\n".join([*lines, TIES, ""])


def to_csv(boards: Sequence[Board]) -> str:
    """CSV with a line for each row of each board, in plain values: seconds, dollars, milliseconds, joules, fractions.

    Text that a spreadsheet would take for a formula gets an apostrophe in front: names may come from anybody.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in bare_rows(boards):
        writer.writerow(map(harmless, row))
    return file.getvalue()


def bare_rows(boards: Sequence[Board]) -> list[list[object]]:
    """The plain values of CSV_COLUMNS for each row of each board."""
    return [
        _bare(board, section, row)
        for board in boards
        for section, rows in (("ranked", board.ranked), ("unranked", board.unranked), ("elsewhere", board.elsewhere))
        for row in rows
    ]


def _bare(board: Board, section: str, row: Row) -> list[object]:
    figure = row.figures.get(board.metric)
    numbers = [figure.value, figure.low, figure.high, figure.unit] if figure else [None] * 4
    told = [row.accuracy, row.reached, "; ".join(row.reasons), "; ".join(row.notes), row.id]
    return [
        board.rule.name, board.task, board.target_accuracy, board.metric, section,
        row.rank, "yes" if row.tied else "no", row.standing, row.kind, row.system, row.author,
        row.hardware, row.date, row.n, *numbers, *told, row.record.source if row.record else None, row.command,
    ]  # fmt: skip


def _table(board: Board, rows: Sequence[Row], footnotes: Footnotes) -> Table:
    table = Table()
    for heading in headings(board):
        right = heading in ("", board.metric, "n", "accuracy")
        table.add_column(heading, justify="right" if right else "left", no_wrap=right)
    for row in rows:
        style = "bold" if row.kind == "run" else ""
        table.add_row(*(Text(_printable(cell), style=style) for cell in cells(board, row, footnotes)))
    return table


def _shortened(author: str) -> str:
    return author if len(author) <= AUTHOR_CHARS else f"{author[: AUTHOR_CHARS - 1].rstrip()}…"


def _line(values: Iterable[str]) -> str:
    return "| " + " | ".join(values) + " |"


def _escaped(value: str) -> str:
    """The text escaped so that Markdown shows it literally."""
    return re.sub(r"([\\`*|\[\]<>&~])", r"\\\1", " ".join(value.split()))


def _say(console: Console, line: str) -> None:
    console.print(_printable(line), markup=False, highlight=False, soft_wrap=not console.is_terminal)


def _printable(value: str) -> str:
    """The text on one line, without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in value)
