"""Tables that fit the terminal: if it is narrow, columns are left out instead of folded."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table

from bench.text.console import LastingConsole

LOG_WIDTH = 160
UNBOUNDED_WIDTH = 10_000


def print_table(console: Console, table: Table, optional: Sequence[str] = ()) -> None:
    """Print a table. On a terminal, `optional` columns are left out until it fits; in a log it is as wide as needed."""
    if console.is_terminal:
        smaller = fitted(table, console.width, optional)
        console.print(smaller)
        left = [_heading(column) for column in smaller.columns]
        if gone := [name for name in map(_heading, table.columns) if name not in left]:
            console.print(f"Not shown for lack of width: {', '.join(gone)}", markup=False, highlight=False)
    else:
        LastingConsole(file=console.file, width=max(console.width, LOG_WIDTH)).print(table)


def fits(table: Table, width: int) -> bool:
    """Whether no cell would be folded."""
    return LastingConsole(width=UNBOUNDED_WIDTH).measure(table).maximum <= width


def fitted(table: Table, width: int, optional: Sequence[str]) -> Table:
    """The table without as many of the first `optional` columns as necessary to fit `width`."""
    gone: set[str] = set()
    smaller = table
    for name in optional:
        if fits(smaller, width):
            break
        gone.add(name)
        columns = [column for column in table.columns if _heading(column) not in gone]
        smaller = Table(title=table.title, caption=table.caption)
        smaller.title_justify, smaller.caption_justify = table.title_justify, table.caption_justify
        for column in columns:
            smaller.add_column(column.header, justify=column.justify, no_wrap=column.no_wrap)
        for row in zip(*(column.cells for column in columns), strict=True):
            smaller.add_row(*row)
    return smaller


def _heading(column: Column) -> str:
    return str(column.header)
