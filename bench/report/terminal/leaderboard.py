"""Leaderboards as text: for a terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import quote

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.runs.readings import hosts_of
from bench.scores.leaderboard import NOTE, TAGS, Board, Metric, Row
from bench.statistics.estimates import Estimate
from bench.text import units
from bench.text.fitting import fits, print_table
from bench.text.folding import folded
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
# A longer interval takes two lines where a terminal is narrow.
NARROW_CHARS = 16
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
# What an address in Markdown may hold as it is.
_OF_ADDRESSES = ":/?#@!$&'*+,;=%~"


class Footnotes:
    """Remarks of a board, each printed once and numbered in order of appearance.

    Reasons and findings that several of the `rows` share are one remark, which says how many rows it is of.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.numbers: dict[str, int] = {}
        # What users say of their runs is of each row itself.
        notes = ((*row.reasons, *(() if row.record else row.notes)) for row in rows)
        remarks = (text for of in notes for text in of if not text.startswith((TAGS, NOTE)))
        self._folded = folded(remarks, "row")

    def refer(self, notes: Iterable[str]) -> str:
        """The numbers of these remarks, such as `1 3`."""
        told = dict.fromkeys(self._folded.get(note, note) for note in notes)
        return " ".join(str(self.numbers.setdefault(note, len(self.numbers) + 1)) for note in told)


def title(board: Board) -> str:
    """Such as `cifar10/train to 94 %, by dawnbench`."""
    return f"{goal(board)}, by {board.rule.name}"


def goal(board: Board) -> str:
    """Such as `cifar10/train to 94 %`."""
    return f"{board.task} to {100 * board.target_accuracy:g} %"


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
    """The number of runs, and of hosts if there are several; of our own runs also how many reached the target, were
    contended or had too few samples."""
    n = units.MISSING if row.n is None else str(row.n)
    if (hosts := len(hosts_of(row.runs))) > 1:
        n = f"{n} on {hosts} hosts"
    if row.kind == "run" and row.n and row.reached is not None and row.reached < row.n:
        return f"{n} ({row.reached} reached)"
    if row.score and any(note.code == "contended" for note in row.score.footnotes):
        return f"{n} ({sum(bool(run.metrics.get('contended')) for run in row.runs) or 'some'} contended)"
    if cut := sum(run.is_cut_short for run in row.runs):
        return f"{n} ({cut} cut short)"
    return n


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


def cells(board: Board, row: Row) -> list[str]:
    """The row as text in the order of `headings`, without its notes."""
    return [
        show_rank(row),
        row.system if row.author is None else f"{row.system}, {_shortened(row.author)}",
        row.hardware,
        show_figure(row.figures.get(board.metric), board.metric),
        show_n(row),
        show_accuracy(row),
        row.date or units.MISSING,
    ]


def headings(board: Board) -> list[str]:
    return ["", "system", "hardware", board.metric, "n", "accuracy", "date", "notes"]


def print_boards(console: Console, boards: Sequence[Board], limit: int | None) -> None:
    """Print each board as tables; long sections show the first `limit` rows (0: all) and all rows of our own runs."""
    most = TERMINAL_ROWS if limit is None else limit
    for board in boards:
        footnotes = Footnotes(board.rows)
        console.print(Text(title(board), style="bold"))
        say_folded(console, f"{board.metric}: {board.rule.clock}. Score: {board.rule.scoring}.")
        for name, rows in sections(board):
            if name:
                say_folded(console, f"{name}:")
            shown = [row for position, row in enumerate(rows) if not most or position < most or row.kind == "run"]
            _print_rows(console, board, shown, footnotes)
            if len(shown) < len(rows):
                say_folded(console, f"… and {len(rows) - len(shown)} more; --limit 0 shows all")
        for note, number in footnotes.numbers.items():
            say_folded(console, f"  {number} {note}")
        say_folded(console, "")
    say_folded(console, TIES)


def to_markdown(boards: Sequence[Board], limit: int | None = None) -> str:
    """A heading, its tables and its footnotes for each board; what is not ranked has the reason in its row."""
    lines: list[str] = []
    for board in boards:
        footnotes = Footnotes(board.rows)
        lines += [f"## {escaped(title(board))}", ""]
        lines += [f"{escaped(board.metric)}: {escaped(board.rule.clock)}. Score: {escaped(board.rule.scoring)}.", ""]
        for name, rows in sections(board):
            lines += [f"{name}:", ""] if name else []
            heads = [*headings(board)[:-1], "why it has no rank" if name else "notes"]
            lines += [markdown_line(heads), markdown_line(["---:", "---", "---", "---:", "---:", "---:", "---", "---"])]
            kept = [row for position, row in enumerate(rows) if not limit or position < limit or row.kind == "run"]
            lines += [markdown_line(_markdown_cells(board, row, footnotes)) for row in kept]
            lines += [""] + ([f"… and {len(rows) - len(kept)} more", ""] if len(kept) < len(rows) else [])
        lines += [f"{number}. {escaped(note)}" for note, number in footnotes.numbers.items()]
        lines += [""] if footnotes.numbers else []
    return "\n".join([*lines, TIES, ""])


def _markdown_cells(board: Board, row: Row, footnotes: Footnotes) -> list[str]:
    rank, _, *facts = map(escaped, cells(board, row))
    noted = footnotes.refer(row.notes)
    reasons = escaped("; ".join(row.reasons))
    return [rank, markdown_system(row), *facts, f"{reasons} ({noted})" if reasons and noted else reasons or noted]


def markdown_system(row: Row) -> str:
    """The system, which links to its source if it has one, and its author."""
    name = escaped(row.system)
    if row.record:
        name = f"[{name}]({quote(row.record.source, safe=_OF_ADDRESSES)})"
    return f"{name}, {escaped(_shortened(row.author))}" if row.author else name


def markdown_line(values: Iterable[str]) -> str:
    return "| " + " | ".join(values) + " |"


def escaped(value: str) -> str:
    """The text escaped so that Markdown shows it literally."""
    return re.sub(r"([\\`*|\[\]<>&~])", r"\\\1", " ".join(value.split()))


def to_csv(boards: Sequence[Board]) -> str:
    """CSV with a line for each row of each board in plain values: seconds, dollars, milliseconds, joules, fractions."""
    return csv_text(CSV_COLUMNS, bare_rows(boards))


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV with a header.

    Text that a spreadsheet would take for a formula gets an apostrophe in front: names may come from anybody.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
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


def _print_rows(console: Console, board: Board, rows: Sequence[Row], footnotes: Footnotes) -> None:
    """Print a table. A terminal that is too narrow for it loses the hardware, and gets figures on several lines."""
    table = _table(board, rows, footnotes)
    if not console.is_terminal or fits(table, console.width):
        print_table(console, table)
    else:
        console.print(_narrow_table(board, rows, footnotes))
        say_folded(console, "Not shown for lack of width: hardware")


def _table(board: Board, rows: Sequence[Row], footnotes: Footnotes) -> Table:
    table = Table()
    for heading in headings(board):
        right = heading in ("", board.metric, "n", "accuracy")
        table.add_column(heading, justify="right" if right else "left", no_wrap=right)
    for row in rows:
        values = [*cells(board, row), footnotes.refer([*row.reasons, *row.notes])]
        table.add_row(*(Text(_printable(value), style=_style(row)) for value in values))
    return table


def _narrow_table(board: Board, rows: Sequence[Row], footnotes: Footnotes) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for heading in ("", "system", board.metric, "n", "accuracy", "date", "notes"):
        right = heading in ("", board.metric, "n", "accuracy")
        table.add_column(heading, justify="right" if right else "left", no_wrap=right or heading == "date")
    for row in rows:
        rank, system, _, figure, n, *told = map(_printable, cells(board, row))
        values = [rank, system, _on_lines(figure), _on_lines(n), *told, footnotes.refer([*row.reasons, *row.notes])]
        table.add_row(*(Text(value, style=_style(row)) for value in values))
    return table


def _on_lines(figure: str) -> str:
    """What stands in parentheses below the figure; a long interval on two lines."""
    value, _, rest = figure.partition(" (")
    rest = rest.removesuffix(")")
    if len(rest) > NARROW_CHARS:
        rest = rest.replace(" to ", " to\n").replace(", ", ",\n")
    return f"{value}\n{rest}" if rest else value


def _style(row: Row) -> str:
    return "bold" if row.kind == "run" else ""


def _shortened(author: str) -> str:
    return author if len(author) <= AUTHOR_CHARS else f"{author[: AUTHOR_CHARS - 1].rstrip()}…"


def say_folded(console: Console, line: str) -> None:
    """Print a line, which a terminal folds to its width."""
    console.print(_printable(line), markup=False, highlight=False, soft_wrap=not console.is_terminal)


def _printable(value: str) -> str:
    """The text on one line, without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in value)
