"""Time a script as it is, from its start to its exit, once for each seed.

--epoch-pattern finds epochs in its output; a script can also write events to BENCH_EVENTS: docs/script.md.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import typer
from rich.console import Console

from bench.cli.options import Device, DeviceChoice, Price, Results, whole
from bench.cli.remarks import RemarkOptions
from bench.cli.seed_runs import SeedRuns
from bench.documents.document import Document
from bench.documents.limits import LARGEST_SEED, MOST_SEEDS
from bench.errors import UsageError
from bench.execution.duration_estimate import mean_here_s
from bench.execution.interrupts import Interrupts
from bench.execution.recorded_code import ScriptCode
from bench.execution.recording import Recorder
from bench.execution.script import run_script
from bench.execution.script_process import check_program, environment_of, folder_of
from bench.host.contention import LoadCheck
from bench.host.gpus import visible_gpus
from bench.report.terminal.harmless import Harmless
from bench.report.terminal.progress import Progress, view
from bench.report.terminal.summary import print_summary
from bench.spec import prices
from bench.spec.command import Command
from bench.text import streams, units

MEASURE = "time_to_accuracy"
MOST_NAME_CHARS = 80


# Options after the command belong to the command.
CONTEXT = {"allow_interspersed_args": False}


@dataclass(frozen=True)
class TimeOptions:
    """Which command is to be timed, and how."""

    command: Annotated[
        list[str],
        typer.Argument(metavar="-- COMMAND…", help="What to run, as by hand; {seed} in it becomes each run's seed."),
    ]
    target: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION",
            help="The accuracy to be reached, such as 0.94; --epoch-pattern must find it, or events report it.",
        ),
    ] = None
    seeds: Annotated[int, typer.Option(metavar="N", parser=whole(1, MOST_SEEDS), help="Runs, with seeds 0, 1, …")] = 1
    first_seed: Annotated[
        int, typer.Option(metavar="SEED", parser=whole(0, LARGEST_SEED), help="Start at this seed.")
    ] = 0
    epoch_pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help=r"Finds epochs in the printed lines, such as 'epoch (?P<epoch>\d+).*acc (?P<accuracy>[\d.]+)'.",
        ),
    ] = None
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="End a run that takes longer.")
    ] = None
    task: Annotated[
        str | None,
        typer.Option(help="The task, such as cifar10/train, so that the runs share a leaderboard with recipes."),
    ] = None
    name: Annotated[str | None, typer.Option(help="What tables call it, instead of the script's name.")] = None
    buffered: Annotated[
        bool, typer.Option("--buffered", help="Leave Python's output buffered, as in a call by hand.")
    ] = False
    device: Device = DeviceChoice.auto
    results: Results = Path("results")
    price: Price = None
    remarks: RemarkOptions = field(default_factory=RemarkOptions)


def time(options: TimeOptions, console: Console) -> int:
    """The exit code is that of the worst run.

    Raises `UsageError` for a command that cannot be run, `MissingError` where there is no room for the results. Both
    come before anything is started.
    """
    load_check = LoadCheck()
    streams.work_outlasts_output()
    command = command_of(options)
    check_program(command.argv, folder_of(command, Path()), environment_of(command, options.first_seed))
    if options.name is not None and not (options.name.isprintable() and 0 < len(options.name) <= MOST_NAME_CHARS):
        raise UsageError(f"--name: give 1 to {MOST_NAME_CHARS} printable characters on one line")
    if options.first_seed + options.seeds - 1 > LARGEST_SEED:
        raise UsageError(f"--first-seed {options.first_seed}: seeds are at most {LARGEST_SEED}")
    remarks = options.remarks.checked()
    code = ScriptCode(Path(), command.argv)
    recorder = Recorder(options.results, options.name or command.script, code=code, remarks=remarks)
    recorder.check_writable()
    timing = TimedScript(options, command, recorder, console)
    timing.announce(load_check)
    try:
        timing.run_all()
    finally:
        # However the last run ended, those before it are done.
        if timing.finished:
            print_summary(console, timing.finished, recorder.store.path)
    return timing.exit_code()


def command_of(options: TimeOptions) -> Command:
    """The command line as a document. Errors name the option. Raises `UsageError`."""
    said: dict[str, Any] = {
        "argv": list(options.command),
        "target": options.target,
        "epoch_pattern": options.epoch_pattern,
        "timeout_s": options.timeout_s,
        "task": options.task,
        "buffered": options.buffered,
    }
    origin = {key: "--" + key.removesuffix("_s").replace("_", "-") for key in said} | {"argv": "the command"}
    return Document(Path("bench time"), said, origin).validate(Command)


class TimedScript(SeedRuns):
    """The runs of one command."""

    def __init__(self, options: TimeOptions, command: Command, recorder: Recorder, console: Console) -> None:
        self.command, self.device = command, _device(options.device)
        seeds = range(options.first_seed, options.first_seed + options.seeds)
        price = prices.choose(options.price)
        super().__init__(recorder, console, seeds, command.identify(self.device), MEASURE, price)
        self._known = list(recorder.store.read({self.cell}))

    @property
    def expected_s(self) -> float | None:
        """The mean duration of earlier runs on this machine."""
        return mean_here_s(self.cell, self.recorder.machine["id"], [*self._known, *self.finished])

    def announce(self, load_check: LoadCheck) -> None:
        """Print the command, its target, how long it took before, and what a reader must know before it starts."""
        command = self.command
        target = f" to {units.percent(command.target)}" if command.target is not None else ""
        self.say(f"{self.recorder.recipe}: {shlex.join(command.argv)}{target}, {self.device}, {self.counted_seeds}")
        if (expected_s := self.expected_s) is not None:
            self.say(f"Expected: {units.duration(expected_s)} a seed, as before on this machine")
        if len(self.seeds) > 1 and not command.uses_seed:
            self.say(
                "Note: the command has no {seed}, so that its runs differ only where it reads BENCH_SEED or has no seed"
            )
        if note := command.target_note("--epoch-pattern"):
            self.say(f"Note: {note}")
        if warning := load_check.warning(self.device, wait=False):
            self.say(f"Warning: {warning}")

    def run_all(self) -> None:
        """One run a seed, in order; an interrupted one is the last."""
        with Interrupts() as interrupts:
            for seed in self.seeds:
                if not interrupts.count:
                    self._run(seed, interrupts)

    def _run(self, seed: int, interrupts: Interrupts) -> None:
        attempt = self.recorder.begin()
        progress = Progress(self.title(seed), self.command.target, self.price_per_hour, monotonic(), self.expected_s)
        try:
            with Harmless(view(self.console, progress)) as shown:
                measured = run_script(self.command, seed, Path(), attempt.log, shown, interrupts, self.device)
                run = self.keep(attempt, measured, seed)
        except UsageError:
            self.recorder.drop(attempt)
            raise
        self.say(self.outcome(run))


def _device(asked: str) -> str:
    """The device the script is assumed to use: a GPU if one is visible, whichever torch is installed here."""
    if asked != "auto":
        return str(asked)
    with visible_gpus() as found:
        return "cuda" if found.gpus else "cpu"
