"""List, filter and average recorded runs; show or annotate one, export them, merge files of other machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from bench.cli.options import whole
from bench.cli.run_filter import Filter
from bench.documents.limits import MOST_COUNT
from bench.errors import UsageError
from bench.report.terminal.results import AVERAGED, fitted, groups_table, overview, runs_table
from bench.runs import selection
from bench.runs.run import INVALID
from bench.runs.selection import is_number
from bench.text import units
from bench.text.console import say, unfolded_console, write_out
from bench.text.spreadsheet import as_csv

COMMANDS = ("columns", "show", "annotate", "export", "merge")
INVOKED_ALONE = True
# Runs in a table, where no number is asked for.
NEWEST = 50


class FormatChoice(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


def results(
    context: typer.Context,
    columns: Annotated[str | None, typer.Option(metavar="A,B,…", help="Show these columns.")] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="A,-B,…", help="Order by these columns; -B from high to low.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", parser=whole(0, MOST_COUNT), help="Show the last N alone; 0 is all, a table shows 50."
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="n, mean, median and sd of the numbers, for each group of these columns."),
    ] = None,
    filter: Filter = Filter(),
    format: Annotated[FormatChoice, typer.Option("--format", "-f", help="csv and json hold bare values.")] = (
        FormatChoice.table
    ),
) -> None:
    """The runs, the newest last, or with `by` the statistics of each group of them."""
    if context.invoked_subcommand is not None:
        _refuse_options_before(context, context.invoked_subcommand)
        return
    console = unfolded_console()
    recorded = filter.load().runs
    runs = filter.apply(recorded)
    if runs.empty and format == "table":
        say(
            console, f"None of the {units.counted(len(recorded), 'run')} in {filter.results / 'runs'} meets all of this"
        )
    elif by:
        _write(_groups(runs, _names(by), _names(columns), _names(sort)), format, console, groups_table)
        if format == "table" and (invalid := int((runs["status"] == INVALID).sum())):
            say(console, f"Not counted: {units.counted(invalid, 'run')} that somebody declared invalid")
    else:
        _list(runs, _names(columns), _names(sort), limit, format, console)


def _list(
    runs: pd.DataFrame, names: list[str], order: list[str], limit: int | None, format: FormatChoice, console: Console
) -> None:
    """A `limit` of None is NEWEST in a table and all of them elsewhere, 0 is all of them."""
    found, hidden = len(runs), list[str]()
    if order:
        runs = selection.sort(runs, order)
    if limit or (limit is None and format == "table"):
        runs = runs.tail(limit or NEWEST)
    if names:
        shown = runs[selection.columns(runs, names, "--columns")]
    elif format == "table":
        shown, hidden = fitted(overview(runs), console)
    else:
        shown = runs
    _write(shown, format, console, runs_table)
    if format == "table":
        left_out = f", the last {len(runs)} shown: --limit 0 shows all" if len(runs) < found else ""
        narrow = f"; this terminal is too narrow for {', '.join(hidden)}" if hidden else ""
        say(console, f"{units.counted(found, 'run')}{left_out}{narrow}")


def _groups(runs: pd.DataFrame, by: list[str], names: list[str], order: list[str]) -> pd.DataFrame:
    """The statistics of the runs that nobody declared invalid."""
    counted = runs[runs["status"] != INVALID]
    usual = [name for name in AVERAGED if name in counted and is_number(counted[name]) and name not in by]
    groups = selection.aggregate(counted, by, names or usual)
    return selection.sort(groups, order) if order else groups


def _write(frame: pd.DataFrame, format: FormatChoice, console: Console, table: Callable[[pd.DataFrame], Table]) -> None:
    match format:
        case FormatChoice.csv:
            write_out(as_csv(frame))
        case FormatChoice.json:
            write_out(f"{json.dumps(_records(frame), indent=2)}\n", is_json=True)
        case FormatChoice.table:
            console.print(table(frame), soft_wrap=not console.is_terminal)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows for JSON as pandas writes them, but with all digits of floats, which pandas rounds to some decimals."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", date_format="iso"))
    for name in frame.columns:
        for row, value in zip(rows, frame[name], strict=True):
            row[str(name)] = _exact(value, row[str(name)])
    return rows


def _exact(value: Any, told: Any) -> Any:
    """What pandas `told` of a value, with its floats as they are."""
    match value:
        case float() if told is not None:
            return float(value)
        case list() | tuple() | np.ndarray():
            return [_exact(*pair) for pair in zip(value, told, strict=True)]
        case dict():
            return {key: _exact(one, told[str(key)]) for key, one in value.items()}
        case _:
            return told


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()] if text else []


def _refuse_options_before(context: typer.Context, subcommand: str) -> None:
    """They would be of the list, which is not asked for. Raises UsageError."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"--{name} stands before {subcommand}, which does not see it there: "
                f"write bench results {subcommand} … --{name} …"
            )
