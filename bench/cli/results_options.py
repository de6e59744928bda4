"""The command line of `bench results`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import whole
from bench.documents.limits import MOST_COUNT

if TYPE_CHECKING:
    from rich.console import Console

    from bench.cli.commands.results import Filter

app = typer.Typer(
    help="List, filter and average recorded runs; show one in full, export them, merge files of other machines.",
    invoke_without_command=True,
)

# Wide enough that no line is folded for a program that reads it.
PIPE_COLUMNS = 10_000


class FormatChoice(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


Results = Annotated[Path, typer.Option("--results", help="Where runs are kept.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=VALUE",
        help="Only runs that meet this; repeatable. Also != < <= > >= and ~ (contains); null is what is missing.",
    ),
]
Status = Annotated[list[str] | None, typer.Option(help="Only runs that ended so; repeatable.")]
Recipe = Annotated[str | None, typer.Option(help="Only runs of this recipe.")]
Sweep = Annotated[str | None, typer.Option(help="Only runs of this sweep.")]
Since = Annotated[str | None, typer.Option(help="Only runs begun since: 2026-11-20, 2026-11-20T18:00 (UTC), 12h, 7d.")]


@app.callback()
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
    where: Where = None,
    status: Status = None,
    recipe: Recipe = None,
    sweep: Sweep = None,
    since: Since = None,
    format: Annotated[FormatChoice, typer.Option("--format", "-f", help="csv and json hold bare values.")] = (
        FormatChoice.table
    ),
    results: Results = Path("results"),
) -> None:
    """List runs, the newest last; filter, sort and average them."""
    if context.invoked_subcommand is not None:
        _refuse_options_before(context, context.invoked_subcommand)
        return
    from bench.cli.commands.results import Listing, list_runs

    listing = Listing(_names(columns), _names(sort), limit, _names(by), format.value)
    list_runs(_filter(results, where, status, recipe, sweep, since), listing, _console())


@app.command()
def columns(
    where: Where = None,
    status: Status = None,
    recipe: Recipe = None,
    sweep: Sweep = None,
    since: Since = None,
    results: Results = Path("results"),
) -> None:
    """List the columns that runs have: metrics, spans, every config value, machine, code, data, versions."""
    from bench.cli.commands.results import list_columns

    list_columns(_filter(results, where, status, recipe, sweep, since), _console())


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="The beginning of its id, or of the digits after the dash, or last.")],
    as_json: Annotated[bool, typer.Option("--json", help="The record itself.")] = False,
    results: Results = Path("results"),
) -> None:
    """Show one run in full: how to repeat it, metrics, spans, epochs, config, machine, code, data, end of its log."""
    from bench.cli.commands.results import show_run

    show_run(results, run, as_json, _console())


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="A .csv or .parquet file; one that is there is replaced.")],
    epochs: Annotated[bool, typer.Option("--epochs", help="A row a run and epoch instead of a row a run.")] = False,
    where: Where = None,
    status: Status = None,
    recipe: Recipe = None,
    sweep: Sweep = None,
    since: Since = None,
    results: Results = Path("results"),
) -> None:
    """Write runs with all their columns to FILE."""
    from bench.cli.commands.results import export_runs

    export_runs(_filter(results, where, status, recipe, sweep, since), file, epochs, _console())


@app.command()
def merge(
    files: Annotated[
        list[Path],
        typer.Argument(help="Files of JSON lines, folders of them, or results folders; - is standard input."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be added, and add nothing.")] = False,
    results: Results = Path("results"),
) -> None:
    """Add the runs in FILES, say of other machines, that are not there yet; each run counts once."""
    from bench.cli.commands.results import merge_files

    merge_files(results, files, dry_run, _console())


def _refuse_options_before(context: typer.Context, subcommand: str) -> None:
    """They would be of the list, which is not asked for. Raises UsageError."""
    from bench.errors import UsageError

    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"--{name} stands before {subcommand}, which does not see it there: "
                f"write bench results {subcommand} … --{name} …"
            )


def _filter(
    results: Path,
    where: list[str] | None,
    status: list[str] | None,
    recipe: str | None,
    sweep: str | None,
    since: str | None,
) -> Filter:
    from bench.cli.commands.results import Filter

    return Filter(results, where or (), status or (), recipe, sweep, since)


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()] if text else []


def _console() -> Console:
    from bench.text.console import LastingConsole

    console = LastingConsole()
    return console if console.is_terminal else LastingConsole(width=PIPE_COLUMNS)
