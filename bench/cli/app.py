"""The command line `bench`. A command is imported when it is called; `bench.cli.lazy` says how."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.main

from bench.cli import gate_options as gate
from bench.cli import lazy
from bench.cli.options import EXIT_CODES, DataDir, Device, DeviceChoice, Price, RecipeName, Results, Settings, whole
from bench.documents.limits import LARGEST_SEED, MOST_SEEDS

CLAIMS_EXIT_CODES = (
    "Exit codes: 0 each claim has a verdict or cannot be tested here; 1 runs failed, or may not be compared; 2 wrong "
    "usage, claim or matrix; 3 none of them can be tested here; 130 stopped by Ctrl-C, once after the present run, "
    "twice at once; the same command goes on."
)

app = typer.Typer()


class ClaimsFormat(StrEnum):
    terminal = "terminal"
    markdown = "markdown"
    html = "html"


@app.command("time", epilog=EXIT_CODES, context_settings={"allow_interspersed_args": False})
def time_(
    command: Annotated[
        list[str],
        typer.Argument(metavar="-- COMMAND…", help="What to run, as by hand; {seed} in it becomes each run's seed."),
    ],
    target: Annotated[
        float | None, typer.Option(metavar="FRACTION", help="The accuracy to be reached, such as 0.94.")
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", parser=whole(1, MOST_SEEDS), help="Runs, with seeds 0, 1, …")] = 1,
    first_seed: Annotated[
        int, typer.Option(metavar="SEED", parser=whole(0, LARGEST_SEED), help="Start at this seed.")
    ] = 0,
    epoch_pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help=r"Finds epochs in the printed lines, such as 'epoch (?P<epoch>\d+).*acc (?P<accuracy>[\d.]+)'.",
        ),
    ] = None,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="End a run that takes longer.")] = None,
    task: Annotated[
        str | None,
        typer.Option(help="What is learned, such as cifar10/train; such runs stand on one leaderboard with recipes."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What tables call it, instead of the script's name.")] = None,
    buffered: Annotated[
        bool, typer.Option("--buffered", help="Leave Python's output buffered, as it is by hand.")
    ] = False,
    device: Device = DeviceChoice.auto,
    results: Results = Path("results"),
    price: Price = None,
) -> None:
    """Time a script as it is, from its start to its exit, once for each seed.

    What happens inside is told by --epoch-pattern, or by events that the script writes to BENCH_EVENTS: docs/script.md.
    """
    from bench.cli.commands.time import TimeOptions, time_script
    from bench.text.console import LastingConsole

    options = TimeOptions(
        command,
        target,
        seeds,
        first_seed,
        epoch_pattern,
        timeout,
        task,
        name,
        buffered,
        device.value,
        results,
        price,
    )
    raise typer.Exit(time_script(options, LastingConsole()))


@app.command("find-lr", epilog=EXIT_CODES)
def find_lr(
    recipe: RecipeName,
    settings: Settings = None,
    seed: Annotated[int, typer.Option(metavar="SEED", parser=whole(0, LARGEST_SEED), help="Of weights and data.")] = 0,
    plot: Annotated[
        Path | None,
        typer.Option(help="The picture's file, .png or .svg; default: pictures/RUN.png below --results."),
    ] = None,
    data: DataDir = None,
    device: Device = DeviceChoice.auto,
    results: Results = Path("results"),
) -> None:
    """Find a learning rate for RECIPE: let it grow batch by batch, record and draw the loss, and suggest one.

    --set find_lr.start=, find_lr.end= and find_lr.steps= change the range and the number of batches.
    """
    from bench.cli.commands.find_lr import FindLrOptions
    from bench.cli.commands.find_lr import find_lr as find_lr_command
    from bench.text.console import LastingConsole

    options = FindLrOptions(recipe, settings or (), seed, plot, data, device.value, results)
    raise typer.Exit(find_lr_command(options, LastingConsole()))


@app.command(epilog=EXIT_CODES)
def picture(
    runs: Annotated[list[str], typer.Argument(metavar="RUN…", help="The beginning of a run's id, or a .jsonl file.")],
    out: Annotated[Path, typer.Option(help="The picture's file, .png or .svg.")],
    results: Results = Path("results"),
) -> None:
    """Draw what runs of find_lr or of surface found: curves on one another, surfaces side by side."""
    from bench.cli.commands.picture import draw_runs
    from bench.text.console import LastingConsole

    draw_runs(runs, out, results, LastingConsole())


@app.command(epilog=CLAIMS_EXIT_CODES)
def claims(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]…", help="Only these: S06, 6, or a claim's .yaml file.")
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="List the claims and measure nothing.")] = False,
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time for measuring: 90s, 30m, 2h. Default: 1h, and any for named claims."),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(metavar="N", parser=whole(1, MOST_SEEDS), help="Seeds of each cell, if more than its matrix has."),
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Measure nothing; judge by the runs in this file or folder. Repeatable."),
    ] = None,
    format: Annotated[
        ClaimsFormat, typer.Option("--format", "-f", help="markdown and html are pages.")
    ] = ClaimsFormat.terminal,
    out: Annotated[Path | None, typer.Option(help="Write the page here; for markdown and html.")] = None,
    data: DataDir = None,
    device: Device = DeviceChoice.auto,
    results: Results = Path("results"),
) -> None:
    """Test statements of three lectures: measure what is missing, the cheapest first, and give each a verdict.

    Verdicts come from recorded runs alone: confirmed, refuted, unsure (with the runs that would decide), or not
    testable here (with what is missing).
    """
    from bench.claims import catalog
    from bench.text.console import LastingConsole

    if list_only:
        from bench.report.terminal.claim_list import print_list

        print_list(LastingConsole(), catalog.chosen(ids or ()))
        return
    from bench.cli.commands.claims import ClaimsOptions
    from bench.cli.commands.claims import claims as claims_command

    options = ClaimsOptions(ids or (), budget, seeds, device.value, data, results, runs or (), format.value, out)
    raise typer.Exit(claims_command(options, LastingConsole()))


gate.add_to(app)


def command() -> Any:
    """The whole command line."""
    group = lazy.load("bench.cli.commands")
    old: Any = typer.main.get_command(app)
    group.commands |= old.commands
    return group


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    from bench.text.console import complain

    complain(f"warning: {message}")


def main() -> None:
    """Run the command line on streams that cannot fail, so that its exit code is that of its work."""
    from bench.execution import imports
    from bench.host import openmp
    from bench.text import streams

    streams.protect()
    imports.keep_to_own_code()
    openmp.settle()
    try:
        _run()
    except SystemExit as end:
        sys.exit(streams.exit_code(end.code))


def _run() -> None:
    """Run the command line; a user's mistake is one message on stderr and its exit code, never a traceback."""
    import warnings

    from bench.errors import BenchError

    warnings.showwarning = _show_warning
    try:
        sys.exit(command()(prog_name="bench", standalone_mode=False))
    except (BenchError, typer.TyperException) as error:
        from bench.text.console import complain

        complain(_told(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        from bench.text.console import complain

        complain("stopped")
        sys.exit(130)


def _told(error: Exception) -> str:
    """The message; of a wrong command line with the command whose help says what is right."""
    if not isinstance(error, typer.TyperException):
        return str(error)
    context = getattr(error, "ctx", None)
    hint = f"; `{context.command_path} --help` says what there is" if context else ""
    # "Value error" is what a parser of types calls it, and says nothing.
    return f"{error.format_message().replace(': Value error, ', ': ').rstrip('.')}{hint}"
