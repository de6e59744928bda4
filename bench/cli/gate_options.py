"""The command lines of the speed gate: `bench compare`, `bench regress`, `bench baseline`."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import DataDir, Device, DeviceChoice, whole
from bench.documents.limits import MOST_SECONDS, MOST_SEEDS

if TYPE_CHECKING:
    from bench.gate.compare import Limits

GATE_EXIT_CODES = (
    "Exit codes: 0 no regression found, or not decided, which the headline says; 1 a regression, or not decided with "
    "--unsure fail; 2 wrong usage or config; 3 nothing to compare with (no baseline, a base that cannot be run), or "
    "hardware missing; 4 not decided, with --unsure own-code; 130 stopped by Ctrl-C."
)
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class UnsureChoice(StrEnum):
    say = "say"
    pass_ = "pass"
    fail = "fail"
    own_code = "own-code"


class ReportFormat(StrEnum):
    terminal = "terminal"
    markdown = "markdown"
    json = "json"
    junit = "junit"


Margin = Annotated[
    str | None, typer.Option(metavar="PERCENT", help="A time that changes by less is the same: 3% where not given.")
]
AccuracyMargin = Annotated[
    str | None,
    typer.Option(metavar="PERCENT", help="The same for an accuracy, in percentage points: 0.2% where not given."),
]
Floor = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="A time that changes by less is the same, however many percent: 10us by default, 1ns in a benchmark.",
    ),
]
Unsure = Annotated[
    UnsureChoice,
    typer.Option(
        help="What is made of what cannot be decided: told, with exit code 0; passed or failed; or told with code 4."
    ),
]
Format = Annotated[ReportFormat, typer.Option("--format", "-f", help="markdown is for a pull request.")]
Out = Annotated[Path | None, typer.Option(help="Write it here.")]
Junit = Annotated[Path | None, typer.Option(help="Also write JUnit XML here.")]
Results = Annotated[Path, typer.Option("--results", help="Where runs, logs and baselines are kept.")]
Matrices = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MATRIX]…", help="What to measure; default: bench.yaml, of bench itself the gate_ ones."),
]
baseline = typer.Typer(
    help="Keep what this code measures on this machine, to be held against later.", no_args_is_help=True
)


def add_to(app: typer.Typer) -> None:
    """Give the command line its speed gate."""
    app.command(epilog=GATE_EXIT_CODES)(compare)
    app.command(epilog=GATE_EXIT_CODES)(regress)
    app.command(epilog=GATE_EXIT_CODES)(history)
    app.command(epilog="Exit codes: 0 fine; 2 a file is there already, or wrong usage; 3 a folder cannot be written.")(
        init
    )
    app.add_typer(baseline, name="baseline", epilog=GATE_EXIT_CODES)


def compare(
    base: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="Runs: a .jsonl file or folder; a condition, as sweep=night; a revision; or a benchmark .json.",
        ),
    ],
    head: Annotated[str, typer.Argument(metavar="B", help="What is held against A, in the same forms.")],
    margin: Margin = None,
    accuracy_margin: AccuracyMargin = None,
    floor: Floor = None,
    unsure: Unsure = UnsureChoice.say,
    any_machine: Annotated[bool, typer.Option("--any-machine", help="Compare across machines too.")] = False,
    format: Format = ReportFormat.terminal,
    out: Out = None,
    junit: Junit = None,
    results: Results = Path("results"),
) -> None:
    """Say of each cell whether B is the same as A, faster, slower, or whether that cannot be said."""
    from bench.cli.commands.compare import CompareOptions, compare_results
    from bench.text.console import LastingConsole

    limits = _limits(margin, accuracy_margin, floor)
    options = CompareOptions(base, head, limits, unsure.value, any_machine, results, format.value, out, junit)
    raise typer.Exit(compare_results(options, LastingConsole()))


def regress(
    matrices: Matrices = None,
    base: Annotated[
        str | None,
        typer.Option(metavar="REVISION", help="Measure this revision too, in turns; else a stored baseline is taken."),
    ] = None,
    budget: Annotated[str, typer.Option(metavar="TIME", help="End then at the latest: 90s, 5m, 1h.")] = "5m",
    rounds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole(1, MOST_SEEDS),
            help="Runs of a cell on each side at most: 30 with --base, 60 with --note, 12 beside a baseline.",
        ),
    ] = None,
    margin: Margin = None,
    accuracy_margin: AccuracyMargin = None,
    floor: Floor = None,
    unsure: Unsure = UnsureChoice.say,
    fresh: Annotated[bool, typer.Option("--fresh", help="Take up nothing of an earlier call.")] = False,
    note: Annotated[
        bool,
        typer.Option("--note", help="Make all rounds, and keep the ratios in git notes, for `bench history`."),
    ] = False,
    format: Format = ReportFormat.terminal,
    out: Out = None,
    junit: Junit = None,
    data: DataDir = None,
    device: Device = DeviceChoice.auto,
    results: Results = Path("results"),
) -> None:
    """Say whether a repository's working tree is slower, less accurate or larger than another revision.

    In a git repository of yours it measures what bench.yaml says (`bench init` writes one), base and working tree side
    by side, and changes nothing in it. Elsewhere it compares the sources of bench. Without --base those are compared
    with a stored baseline.
    """
    from bench.cli.commands.regress import RegressOptions
    from bench.cli.commands.regress import regress as regress_command
    from bench.text.console import LastingConsole

    options = RegressOptions(
        matrices or (),
        base,
        seconds("--budget", budget),
        rounds,
        _limits(margin, accuracy_margin, floor),
        unsure.value,
        fresh,
        note,
        data,
        device.value,
        results,
        format.value,
        out,
        junit,
    )
    # A report that a program reads is alone on stdout.
    aside = format is not ReportFormat.terminal and out is None
    raise typer.Exit(regress_command(options, LastingConsole(stderr=aside)))


def history(
    revision: Annotated[str, typer.Argument(help="Where the line of commits ends.")] = "HEAD",
    cell: Annotated[str | None, typer.Option(help="Only cells whose names hold this.")] = None,
    figure: Annotated[str | None, typer.Option(help="Only this one, such as wall_s.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw it here: a .svg or .png file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Draw how the speed changed along the commits that `bench regress --note` compared, and name where it did.

    Only ratios of commits that were measured beside each other are chained, so the machine may change on the way.
    """
    from bench.cli.commands.history import HistoryOptions, show_history
    from bench.text.console import LastingConsole

    show_history(HistoryOptions(revision, cell, figure, plot, as_json), LastingConsole(stderr=as_json))


class CiChoice(StrEnum):
    auto = "auto"
    github = "github"
    gitlab = "gitlab"
    both = "both"
    none = "none"


def init(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]…", help="What a run is, as in: -- python train.py")
    ] = None,
    folder: Annotated[Path, typer.Option(help="A folder of the repository.")] = Path("."),
    ci: Annotated[CiChoice, typer.Option(help="Whose CI; auto goes by what the repository has.")] = CiChoice.auto,
    source: Annotated[
        str | None, typer.Option(metavar="OWNER/REPO@REF", help="Where CI gets bench; default: where this one is from.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write a commented bench.yaml and a CI job into your repository, for `bench regress`."""
    from bench.cli.commands.init import InitOptions
    from bench.cli.commands.init import init as init_command
    from bench.text.console import LastingConsole

    init_command(InitOptions(tuple(command or ()), folder, ci.value, source, force), LastingConsole())


@baseline.command(epilog=GATE_EXIT_CODES)
def save(
    matrices: Matrices = None,
    runs: Annotated[
        int, typer.Option(metavar="N", parser=whole(6, MOST_SEEDS), help="Runs of each cell, 6 or more.")
    ] = 20,
    data: DataDir = None,
    device: Device = DeviceChoice.auto,
    results: Results = Path("results"),
) -> None:
    """Measure and keep it, with the noise between equal runs; one of the same machine and matrix is replaced."""
    from bench.cli.commands.baseline import SaveOptions
    from bench.cli.commands.baseline import save as save_command
    from bench.text.console import LastingConsole

    save_command(SaveOptions(tuple(matrices or ()), runs, data, device.value, results), LastingConsole())


@baseline.command("list")
def list_(results: Results = Path("results")) -> None:
    """List the baselines, of this machine and of others."""
    from bench.cli.commands.baseline import list_baselines
    from bench.text.console import LastingConsole

    list_baselines(results, LastingConsole())


Name = Annotated[str, typer.Argument(help="Its name in `bench baseline list`, or the beginning of it.")]


@baseline.command()
def show(name: Name, results: Results = Path("results")) -> None:
    """Show all that a baseline holds."""
    from bench.cli.commands.baseline import show as show_command
    from bench.text.console import LastingConsole

    show_command(results, name, LastingConsole())


@baseline.command(epilog=GATE_EXIT_CODES)
def noise(
    name: Name,
    rounds: Annotated[
        int,
        typer.Option(metavar="N", parser=whole(8, MOST_SEEDS), help="Pairs of runs in a comparison at most."),
    ] = 30,
    margin: Margin = None,
    results: Results = Path("results"),
) -> None:
    """Say how often the gate, and others' rules, raise false alarms on this machine, and what they find."""
    from bench.cli.commands.baseline import noise as noise_command
    from bench.text.console import LastingConsole

    noise_command(results, name, rounds, _limits(margin, None, None), LastingConsole())


@baseline.command()
def drop(name: Name, results: Results = Path("results")) -> None:
    """Remove a baseline."""
    from bench.cli.commands.baseline import drop as drop_command
    from bench.text.console import LastingConsole

    drop_command(results, name, LastingConsole())


def seconds(option: str, text: str) -> float:
    """A duration with its unit. Raises UsageError."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(ns|us|ms|s|m|h)", text.strip())
    found = float(match[1]) * _UNITS_S[match[2]] if match else None
    if found is None or found > MOST_SECONDS:
        from bench.errors import UsageError

        raise UsageError(
            f"{option} {text[:40]}: give a number and a unit, ns, us, ms, s, m or h, as in 5m; "
            f"{MOST_SECONDS:,}s at most"
        )
    return found


def fraction(option: str, text: str) -> float:
    """`3%` as 0.03. Raises UsageError."""
    match = re.fullmatch(r"([0-9]{1,2}(?:\.[0-9]{1,9})?)\s*%", text.strip())
    if match is None or not 0 < float(match[1]) < 100:
        from bench.errors import UsageError

        raise UsageError(f"{option} {text[:40]}: give percent, more than 0% and less than 100%, as in 3%")
    return float(match[1]) / 100


def _limits(margin: str | None, accuracy_margin: str | None, floor: str | None) -> Limits:
    from bench.gate.compare import Limits

    return Limits(
        None if margin is None else fraction("--margin", margin),
        None if accuracy_margin is None else fraction("--accuracy-margin", accuracy_margin),
        None if floor is None else seconds("--floor", floor),
    )
