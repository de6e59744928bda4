"""Time a script as it is, from its start to its exit, once for each seed.

--epoch-pattern finds epochs in its output; a script can also write events to BENCH_EVENTS: docs/script.md.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import typer
from rich.console import Console

from bench.cli.options import Device, DeviceChoice, Price, Results, whole
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
from bench.runs.run import Run
from bench.spec import prices
from bench.spec.command import Command
from bench.text import streams, units
from bench.text.console import say

STOPPED = 130
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
        float | None, typer.Option(metavar="FRACTION", help="The accuracy to be reached, such as 0.94.")
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
    recorder = Recorder(options.results, options.name or command.script, code=ScriptCode(Path(), command.argv))
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


class TimedScript:
    """The runs of one command."""

    def __init__(self, options: TimeOptions, command: Command, recorder: Recorder, console: Console) -> None:
        self.options, self.command, self.recorder, self.console = options, command, recorder, console
        self.device = _device(options.device)
        self.config, self.cell = command.identify(self.device)
        self.price = prices.choose(options.price)
        self.finished: list[Run] = []
        self._known = list(recorder.store.read({self.cell}))

    @property
    def expected_s(self) -> float | None:
        """The mean duration of earlier runs on this machine."""
        return mean_here_s(self.cell, self.recorder.machine["id"], [*self._known, *self.finished])

    @property
    def seeds(self) -> range:
        return range(self.options.first_seed, self.options.first_seed + self.options.seeds)

    def announce(self, load_check: LoadCheck) -> None:
        """Print the command, its target and how long it took before."""
        command, count = self.command, len(self.seeds)
        target = f" to {units.percent(command.target)}" if command.target is not None else ""
        seeds = f"{count} seed{'s' if count > 1 else ''}"
        self._say(f"{self.recorder.recipe}: {shlex.join(command.argv)}{target}, {self.device}, {seeds}")
        if (expected_s := self.expected_s) is not None:
            self._say(f"Expected: {units.duration(expected_s)} a seed, as before on this machine")
        if count > 1 and not command.uses_seed:
            self._say(
                "Note: the command has no {seed}, so that its runs differ only where it reads BENCH_SEED or has no seed"
            )
        if warning := load_check.warning(self.device, wait=False):
            self._say(f"Warning: {warning}")

    def run_all(self) -> None:
        """One run a seed, in order; an interrupted one is the last."""
        with Interrupts() as interrupts:
            for seed in self.seeds:
                if not interrupts.count:
                    self._run(seed, interrupts)

    def exit_code(self) -> int:
        """That of the worst run; 130, with a message, if some seeds were not run."""
        done, wanted = sum(run.status != "interrupted" for run in self.finished), len(self.seeds)
        if done < wanted:
            self._say(f"Stopped: {done} of {wanted} seed{'s' if wanted > 1 else ''} done")
            return STOPPED
        return max(0 if run.status == "ok" else 1 for run in self.finished)

    def _run(self, seed: int, interrupts: Interrupts) -> None:
        count, place = len(self.seeds), len(self.finished) + 1
        title = f"{self.recorder.recipe}, seed {seed}" + (f" ({place} of {count})" if count > 1 else "")
        attempt = self.recorder.begin()
        price = self.price.usd_per_hour if self.price else None
        progress = Progress(title, self.command.target, price, monotonic(), self.expected_s)
        try:
            with Harmless(view(self.console, progress)) as shown:
                measured = run_script(self.command, seed, Path(), attempt.log, shown, interrupts, self.device)
                run = self.recorder.record(
                    attempt,
                    measured,
                    cell=self.cell,
                    config=self.config,
                    seed=seed,
                    measure=MEASURE,
                    price_per_hour=price,
                    price_source=self.price.source if self.price else None,
                )
        except UsageError:
            self.recorder.drop(attempt)
            raise
        self.finished.append(run)
        accuracy = run.metrics.get("accuracy")
        outcome = f", accuracy {units.percent(accuracy)}" if accuracy is not None else ""
        self._say(f"{title}: {run.status}{outcome}, {units.duration(run.metrics['total_s'])}")

    def _say(self, line: str) -> None:
        say(self.console, line)


def _device(asked: str) -> str:
    """The device the script is assumed to use: a GPU if one is visible, whichever torch is installed here."""
    if asked != "auto":
        return str(asked)
    with visible_gpus() as found:
        return "cuda" if found.gpus else "cpu"
