"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

EXIT_CODES = (
    "Exit codes: 0 fine; 1 the check failed (target not reached, regression); "
    "2 wrong usage or config; 3 data or hardware missing; 130 stopped by Ctrl-C."
)

app = typer.Typer(
    help="Time deep-learning training to a target accuracy: honestly, and so that a stranger can repeat it.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class DeviceChoice(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


DataDir = Annotated[
    Path | None,
    typer.Option("--data", help="Where data sets are looked for first; then $BENCH_DATA, then data/."),
]
Device = Annotated[DeviceChoice, typer.Option(help="auto takes a usable GPU where there is one.")]
Price = Annotated[float | None, typer.Option(min=0, help="Dollars per hour of this machine.")]
Results = Annotated[Path, typer.Option("--results", help="Where runs, logs and caches are kept.")]


@app.command(epilog=EXIT_CODES)
def run(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe (see `bench recipes`) or a .yaml file.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a recipe's value; repeatable."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Runs, with seeds 0, 1, …; default: the recipe's.")] = None,
    first_seed: Annotated[int, typer.Option(min=0, help="Start at this seed.")] = 0,
    data: DataDir = None,
    device: Device = DeviceChoice.auto,
    results: Results = Path("results"),
    price: Price = None,
    measure: Annotated[
        str, typer.Option(help="time_to_accuracy, throughput, inference or loading.")
    ] = "time_to_accuracy",
) -> None:
    """Train RECIPE to its target, timed and recorded, once for each seed."""
    from rich.console import Console

    from bench.commands.run import RunOptions
    from bench.commands.run import run as run_command

    options = RunOptions(recipe, settings or (), seeds, first_seed, data, device.value, results, price, measure)
    raise typer.Exit(run_command(options, Console()))


@app.command(epilog=EXIT_CODES)
def sweep(
    matrix: Annotated[str, typer.Argument(help="A shipped matrix (digits, precision, …) or a .yaml file.")],
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="AXIS=VALUE", help="Only cells with this value; repeatable."),
    ] = None,
    rerun: Annotated[
        str | None, typer.Option(metavar="failed|all|CELL", help="Run these again although they are done.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Take as done only what the present sources made.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Make at most so many runs now.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and run nothing.")] = False,
    data: DataDir = None,
    device: Device = DeviceChoice.auto,
    results: Results = Path("results"),
    price: Price = None,
) -> None:
    """Run every cell of MATRIX with every seed, a process each, and nothing that is done already."""
    from rich.console import Console

    from bench.commands.sweep import SweepOptions
    from bench.commands.sweep import sweep as sweep_command

    options = SweepOptions(matrix, only or (), rerun, resume, limit, dry_run, data, device.value, results, price)
    raise typer.Exit(sweep_command(options, Console()))


@app.command()
def recipes() -> None:
    """List the recipes that come with the project."""
    from bench.commands.recipes import list_recipes

    list_recipes()


@app.command()
def data(
    name: Annotated[str | None, typer.Argument(help="Prepare this data set: fetch, verify, convert.")] = None,
    data: DataDir = None,
) -> None:
    """List the data sets and where they were found, or prepare one."""
    from bench.commands.data import list_datasets, prepare

    list_datasets(data) if name is None else prepare(name, data)


@app.command()
def env(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Print the fingerprint of this machine: what its timings may be compared with."""
    from bench.commands.env import print_environment

    print_environment(as_json)


@app.command()
def leaderboard() -> None:
    """Rank runs and records by rule book. Not there yet."""
    _not_there_yet("the leaderboard needs the rule books (bench/rules/), which are not written yet")


@app.command()
def regress() -> None:
    """Compare the speed of this code with a baseline. Not there yet."""
    _not_there_yet("the speed gate (bench/compare) is not written yet")


def _not_there_yet(what: str) -> None:
    from bench.errors import UsageError

    raise UsageError(f"{what}; until then `bench.load()` gives every recorded run as a pandas frame")


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"bench: warning: {message}", file=sys.stderr)


def main() -> None:
    """Run the command line; a user's mistake is one message on stderr and its exit code, never a traceback."""
    import warnings

    from bench.errors import BenchError

    warnings.showwarning = _show_warning
    try:
        app()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        sys.exit(130)
