"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import gate_options as gate
from bench.cli.options import DataDir, Device, DeviceChoice, seconds_to_wait, whole
from bench.cli.results_options import app as results_app
from bench.documents.limits import LARGEST_SEED, MOST_COUNT, MOST_SEEDS

EXIT_CODES = (
    "Exit codes: 0 fine; 1 the check failed (target not reached, regression); "
    "2 wrong usage or config; 3 data or hardware missing; 130 stopped by Ctrl-C."
)

SWEEP_EXIT_CODES = (
    "Exit codes: 0 every cell that this machine can run is ok (cells that it cannot run are skipped, and said); "
    "1 a cell failed or missed its target; 2 wrong usage or config; 3 no cell can be run here: data or hardware "
    "missing; 130 stopped by Ctrl-C, once after the present run, twice at once; the same command goes on."
)

CLAIMS_EXIT_CODES = (
    "Exit codes: 0 each claim has a verdict or cannot be tested here; 1 runs failed, or may not be compared; 2 wrong "
    "usage, claim or matrix; 3 none of them can be tested here; 130 stopped by Ctrl-C, once after the present run, "
    "twice at once; the same command goes on."
)

app = typer.Typer(
    help="Time deep-learning training to a target accuracy: honestly, and so that a stranger can repeat it.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class OrderChoice(StrEnum):
    interleaved = "interleaved"
    grouped = "grouped"
    random = "random"


class MetricChoice(StrEnum):
    time = "time"
    cost = "cost"
    latency = "latency"
    energy = "energy"


class ClaimsFormat(StrEnum):
    terminal = "terminal"
    markdown = "markdown"
    html = "html"


class BoardFormat(StrEnum):
    terminal = "terminal"
    markdown = "markdown"
    csv = "csv"
    html = "html"


RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe or a .yaml file.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a recipe's value; repeatable."),
]
Price = Annotated[
    str | None, typer.Option(help="Dollars per hour of this machine, or a name in `bench prices`, such as p3.16xlarge.")
]
Results = Annotated[Path, typer.Option("--results", help="Where runs, logs and caches are kept.")]
SamplingTimeout = Annotated[
    float | None,
    typer.Option(
        "--sampling-timeout",
        metavar="SECONDS",
        parser=seconds_to_wait,
        help="End the sampling of each figure then at the latest (60); for measures other than time_to_accuracy.",
    ),
]


@app.command(epilog=EXIT_CODES)
def run(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe (see `bench recipes`) or a .yaml file.")],
    settings: Settings = None,
    seeds: Annotated[
        int | None,
        typer.Option(metavar="N", parser=whole(1, MOST_SEEDS), help="Runs, with seeds 0, 1, …; default: the recipe's."),
    ] = None,
    first_seed: Annotated[
        int, typer.Option(metavar="SEED", parser=whole(0, LARGEST_SEED), help="Start at this seed.")
    ] = 0,
    data: DataDir = None,
    device: Device = DeviceChoice.auto,
    results: Results = Path("results"),
    price: Price = None,
    measure: Annotated[
        str, typer.Option(help="time_to_accuracy, throughput, inference, loading or memory.")
    ] = "time_to_accuracy",
    sampling_timeout: SamplingTimeout = None,
    keep_weights: Annotated[
        bool, typer.Option("--keep-weights", help="Keep the final weights in runs/weights/ below --results.")
    ] = False,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|FILE", help="For --measure inference: the weights that a run kept, by its id, or a file."
        ),
    ] = None,
    shared_process: Annotated[
        bool,
        typer.Option(
            "--shared-process",
            help="Train all seeds in one process, which loads, builds and compiles once; the records say so.",
        ),
    ] = False,
    keep_compiled: Annotated[
        bool,
        typer.Option(
            "--keep-compiled",
            help="Take compiled programs from earlier runs with this option, and keep them for later ones, in the "
            "user's cache; the records say so.",
        ),
    ] = False,
) -> None:
    """Train RECIPE to its target, timed and recorded, once for each seed."""
    from bench.cli.commands.run import RunOptions
    from bench.cli.commands.run import run as run_command
    from bench.text.console import LastingConsole

    options = RunOptions(
        recipe,
        settings or (),
        seeds,
        first_seed,
        data,
        device.value,
        results,
        price,
        measure,
        sampling_timeout,
        keep_weights,
        weights,
        shared_process,
        keep_compiled,
    )
    raise typer.Exit(run_command(options, LastingConsole()))


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


@app.command(epilog=SWEEP_EXIT_CODES)
def sweep(
    matrix: Annotated[str, typer.Argument(help="A shipped matrix (digits, precision, …) or a .yaml file.")],
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="AXIS=VALUE", help="Only cells with this value; repeatable."),
    ] = None,
    rerun: Annotated[
        str | None, typer.Option(metavar="failed|all|CELL", help="Run these again although they are done.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Take as done only what the present sources made.")] = False,
    limit: Annotated[
        int | None, typer.Option(metavar="N", parser=whole(1, MOST_COUNT), help="Make at most so many runs now.")
    ] = None,
    jobs: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="Runs at once, each on GPUs of its own (auto: as many as are free). On a CPU they share the cores.",
        ),
    ] = "1",
    order: Annotated[OrderChoice | None, typer.Option(help="Instead of the matrix's own order.")] = None,
    sampling_timeout: SamplingTimeout = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and run nothing.")] = False,
    data: DataDir = None,
    device: Device = DeviceChoice.auto,
    results: Results = Path("results"),
    price: Price = None,
) -> None:
    """Run every cell of MATRIX with every seed, a process each, and nothing that is done already."""
    from bench.cli.commands.sweep import SweepOptions
    from bench.cli.commands.sweep import sweep as sweep_command
    from bench.text.console import LastingConsole

    options = SweepOptions(
        matrix,
        only or (),
        rerun,
        resume,
        limit,
        dry_run,
        data,
        device.value,
        results,
        price,
        jobs,
        order.value if order else None,
        sampling_timeout,
    )
    raise typer.Exit(sweep_command(options, LastingConsole()))


@app.command()
def recipes() -> None:
    """List the recipes that come with the project."""
    from bench.cli.commands.recipes import list_recipes

    list_recipes()


@app.command(epilog=EXIT_CODES)
def show(
    recipe: RecipeName,
    settings: Settings = None,
    device: Device = DeviceChoice.auto,
    results: Results = Path("results"),
    card: Annotated[
        str | None,
        typer.Option(
            help="Estimate a run on this GPU by its data sheet: h200, h100, a100, v100, rtx4090, … No GPU needed."
        ),
    ] = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Print every value as YAML, which loads to the same recipe, and stop.")
    ] = False,
) -> None:
    """Say what RECIPE does: its source, ingredients, size, FLOPs and memory, and what it reached there and here.

    With --device cuda also what a step asks of a GPU: operations, launches, waits and bytes, counted without one.
    """
    from bench.cli.commands.show import ShowOptions, show_recipe
    from bench.text.console import LastingConsole

    options = ShowOptions(recipe, settings or (), device.value, results, card, resolved)
    raise typer.Exit(show_recipe(options, LastingConsole()))


@app.command(epilog=EXIT_CODES)
def profile(
    recipe: RecipeName,
    settings: Settings = None,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", parser=whole(1, MOST_COUNT), help="Instead of the recipe's.")
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole(0, MOST_COUNT),
            help="Levels of modules to open; default: as many as fit on a screen.",
        ),
    ] = None,
    trace: Annotated[Path | None, typer.Option(help="Also write a Chrome trace here (.json or .json.gz).")] = None,
    data: DataDir = None,
    device: Device = DeviceChoice.auto,
    results: Results = Path("results"),
) -> None:
    """Show where a training step of RECIPE spends its time, memory and FLOPs, stage by stage."""
    from bench.cli.commands.profile import ProfileOptions, profile_recipe
    from bench.text.console import LastingConsole

    options = ProfileOptions(recipe, settings or (), batch_size, depth, trace, data, device.value, results)
    raise typer.Exit(profile_recipe(options, LastingConsole()))


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


@app.command()
def data(
    name: Annotated[str | None, typer.Argument(help="Prepare this data set: fetch, verify, convert.")] = None,
    data: DataDir = None,
) -> None:
    """List the data sets and where they were found, or prepare one."""
    from bench.cli.commands.data import list_datasets, prepare

    list_datasets(data) if name is None else prepare(name, data)


@app.command()
def env(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Print the fingerprint of this machine: what its timings may be compared with."""
    from bench.cli.commands.env import print_environment

    print_environment(as_json)


Runs = Annotated[
    list[str], typer.Argument(metavar="RUN…", help="The beginning of a run's id, or a .jsonl file: all its runs.")
]
Entries = Annotated[
    list[Path], typer.Argument(metavar="FILE…", help="The .json or .tsv file of an entry, or a folder of entries.")
]
export = typer.Typer(help="Write runs in a foreign format.", no_args_is_help=True)
app.add_typer(export, name="export")
app.add_typer(results_app, name="results", epilog=EXIT_CODES)


@export.command(epilog=EXIT_CODES)
def dawnbench(
    runs: Runs,
    author: Annotated[str | None, typer.Option(help="Who submits the entry.")] = None,
    email: Annotated[str | None, typer.Option(help="Where to reach them.")] = None,
    hardware: Annotated[str | None, typer.Option(help="Instead of the machine's own description.")] = None,
    model: Annotated[str | None, typer.Option(help="Instead of the model's name.")] = None,
    framework: Annotated[str | None, typer.Option(help="Instead of PyTorch and its version.")] = None,
    code_url: Annotated[str | None, typer.Option(help="Where the code can be had.")] = None,
    out: Annotated[Path, typer.Option(help="Entries go to CIFAR10/train and CIFAR10/inference below.")] = Path("."),
    results: Results = Path("results"),
) -> None:
    """Write a DAWNBench CIFAR10 entry of each RUN: JSON, and a TSV file of its epochs for training."""
    from bench.cli.commands.exchange import export_dawnbench
    from bench.exchange.from_runs import Submitter
    from bench.text.console import LastingConsole

    submitter = Submitter(author, email, hardware, model, framework, code_url)
    export_dawnbench(runs, submitter, results, out, LastingConsole())


@export.command(epilog=EXIT_CODES)
def mllog(
    runs: Runs,
    out: Annotated[Path, typer.Option(help="A file RUN.log for each run goes here.")] = Path("."),
    results: Results = Path("results"),
) -> None:
    """Write the MLPerf log of each RUN."""
    from bench.cli.commands.exchange import export_mllog
    from bench.text.console import LastingConsole

    export_mllog(runs, results, out, LastingConsole())


@app.command(epilog=EXIT_CODES)
def check(files: Entries) -> None:
    """Say what each DAWNBench entry amounts to, or all that is wrong with it; 1 where something is wrong."""
    from bench.cli.commands.exchange import check as check_command
    from bench.text.console import LastingConsole

    raise typer.Exit(check_command(files, LastingConsole()))


@app.command("import", epilog=EXIT_CODES)
def import_(files: Entries, results: Results = Path("results")) -> None:
    """Add DAWNBench entries to the table of runs, marked as the runs of others."""
    from bench.cli.commands.exchange import import_entries
    from bench.text.console import LastingConsole

    import_entries(files, results, LastingConsole())


@app.command()
def prices() -> None:
    """List the dated price table that --price NAME looks in."""
    from bench.cli.commands.prices import list_prices

    list_prices()


RunFiles = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE]…", help="Files of runs, or folders of them, instead of those below --results."),
]


@app.command(epilog=EXIT_CODES)
def leaderboard(
    files: RunFiles = None,
    rule: Annotated[str | None, typer.Option(help="Only dawnbench, mlperf, speedrun or coldstart.")] = None,
    task: Annotated[str | None, typer.Option(help="Only this one, such as cifar10/train.")] = None,
    metric: Annotated[
        MetricChoice | None, typer.Option(help="What to rank by; default: time, and latency for inference.")
    ] = None,
    price: Price = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole(0, MOST_COUNT),
            help="Rows of a section, beside our own: terminal 10, Markdown all; 0 is all.",
        ),
    ] = None,
    format: Annotated[BoardFormat, typer.Option("--format", "-f", help="csv holds bare values.")] = (
        BoardFormat.terminal
    ),
    out: Annotated[Path | None, typer.Option(help="Write it here.")] = None,
    results: Results = Path("results"),
) -> None:
    """Rank runs and published records together, by rule book; say who does not qualify, and why."""
    from bench.cli.commands.leaderboard import LeaderboardOptions, show_leaderboard
    from bench.text.console import LastingConsole

    options = LeaderboardOptions(
        files or (), results, rule, task, metric.value if metric else None, price, limit, format.value, out
    )
    show_leaderboard(options, LastingConsole())


@app.command(epilog=EXIT_CODES)
def report(
    files: RunFiles = None,
    out: Annotated[Path, typer.Option(help="The folder; its index.html is where to begin.")] = Path("results/report"),
    results: Results = Path("results"),
) -> None:
    """Write all that was measured as a folder of pages that need no server: leaderboards, plots, every cell."""
    from bench.cli.commands.report import write_report
    from bench.text.console import LastingConsole

    write_report(files or (), results, out, LastingConsole())


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
        sys.exit(app(standalone_mode=False))
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
