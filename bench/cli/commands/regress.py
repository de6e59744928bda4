"""Say whether a repository's working tree is slower, less accurate or larger than another revision.

In a git repository of yours it measures what bench.yaml says (`bench init` writes one), base and working tree side
by side, and changes nothing in it. Elsewhere it compares the sources of bench. Without --base those are compared
with a stored baseline.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from bench.cli.gate_options import GATE_EXIT_CODES, Margins, Matrices, ReportOutput, seconds
from bench.cli.options import DataDir, Device, DeviceChoice, Results, whole
from bench.documents.limits import MOST_SEEDS
from bench.errors import BenchError, MissingError, UsageError
from bench.files import PACKAGE
from bench.gate import baseline as baselines
from bench.gate.baseline_comparison import ROUNDS as BASELINE_ROUNDS
from bench.gate.baseline_comparison import BaselineComparison
from bench.gate.checkout import refuse_elsewhere
from bench.gate.compare import Limits
from bench.gate.history import REF
from bench.gate.lock import only_one
from bench.gate.measurement import Measurement
from bench.gate.own_sources import OwnSources, check_unchanged, describe, open_agent
from bench.gate.paired_comparison import ROUNDS
from bench.gate.report import GateFinding, Report, Side
from bench.gate.revision_gate import RevisionGate, Watcher, note
from bench.gate.subject import Subject, matrix_files, name_of
from bench.gate.users_repository import UsersRepository, matrices_of, users_repository
from bench.gate.verdict import LEAST_ROUNDS, Verdict
from bench.host.fingerprint import chosen_device, device_count, fingerprint
from bench.host.provenance import code_identity
from bench.report.terminal.gate import progress, refuse_unwritable, write_report
from bench.spec import matrix as matrices
from bench.text import streams
from bench.text.console import LastingConsole, say
from bench.text.undecodable import command_line

EPILOG = GATE_EXIT_CODES
# A note is to know a ratio so well that a change of 1 % stands out (docs/history.md).
NOTE_ROUNDS = 60
# The matrices of the gate are those whose names begin so.
GATE = "gate_"
COMMAND = command_line()
ROOT = PACKAGE.resolve().parent


@dataclass(frozen=True)
class RegressOptions:
    """What is compared, and for how long."""

    matrices: Matrices = None
    base: Annotated[
        str | None,
        typer.Option(metavar="REVISION", help="Measure this revision too, in turns; else a stored baseline is taken."),
    ] = None
    budget_s: Annotated[
        float,
        typer.Option(
            "--budget",
            metavar="TIME",
            parser=seconds,
            show_default="5m",
            help="Measure so long at most: 90s, 5m, 1h.",
        ),
    ] = 300.0
    rounds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole(1, MOST_SEEDS),
            help="Runs of a cell on each side at most: 30 with --base, 60 with --note, 12 beside a baseline. "
            "Another number begins a new test.",
        ),
    ] = None
    margins: Margins = field(default_factory=Margins)
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew instead of continuing an earlier call.")] = False
    note: Annotated[
        bool,
        typer.Option("--note", help="Make all rounds, and keep the ratios in git notes, for `bench history`."),
    ] = False
    output: ReportOutput = field(default_factory=ReportOutput)
    data_dir: DataDir = None
    device: Device = DeviceChoice.auto
    results: Results = Path("results")

    @property
    def limits(self) -> Limits:
        return self.margins.limits


def regress(options: RegressOptions, console: Console) -> int:
    """Measure, judge, tell.

    Raises UsageError for a wrong revision, matrix or margin, in another repository than bench's, and where the report
    could not be written; KeyboardInterrupt goes on its way once all processes are ended and the base is removed.
    """
    if options.base is None:
        refuse_elsewhere(ROOT, Path.cwd(), "a stored baseline")
        if options.note:
            raise UsageError("--note keeps the ratio of two commits; give --base too")
    if options.rounds is not None and options.rounds < LEAST_ROUNDS:
        raise UsageError(f"--rounds {options.rounds}: fewer than {LEAST_ROUNDS} can tell nothing")
    output = options.output
    refuse_unwritable(output.out, output.junit)
    if output.format != "terminal" and output.out is None:
        # A report that a program reads is alone on stdout.
        console = LastingConsole(stderr=True)
    streams.work_outlasts_output()
    with sigterm_interrupts():
        report = (
            _against_revision(options, console) if options.base is not None else _against_baselines(options, console)
        )
    report = replace(report, unsure=options.margins.unsure.value)
    write_report(report, output.format.value, output.out, output.junit, console)
    return report.exit_code


def gate_matrices(names: Sequence[str]) -> list[Path]:
    """The files of these matrices, by default of the gate's own. Raises UsageError as `matrix_files` does."""
    return matrix_files(names or [name for name in matrices.names() if name.startswith(GATE)])


def _against_revision(options: RegressOptions, console: Console) -> Report:
    subject, paths, machine, device = _subject(options, console)
    with only_one(COMMAND, lambda line: say(console, line)), progress(console) as view:
        say(console, f"{subject.base.name} against {subject.head.name}, on {device}")
        gate = RevisionGate(
            subject,
            paths,
            machine,
            device,
            options.results.resolve() / "gate",
            options.limits,
            options.budget_s,
            options.rounds or (NOTE_ROUNDS if options.note else ROUNDS),
            options.data_dir.resolve() if options.data_dir else None,
            options.fresh,
            options.note,
            COMMAND,
            Watcher(lambda line: say(console, line), view.decided, view.running),
        )
        report = gate.measure()
        if options.note:
            count = note(subject.top, gate)
            told = f"Noted {count} figures in {REF}; `bench history` shows them"
            say(console, told if count else f"Noted nothing: {LEAST_ROUNDS} rounds are needed; give a larger --budget")
    return report


def _subject(options: RegressOptions, console: Console) -> tuple[Subject, list[Path], dict[str, Any], str]:
    """What the present folder's repository has to compare, by which matrices, on which machine and device.

    That is a user's repository, or the sources of this harness. Raises UsageError for a wrong revision or matrix.
    """
    assert options.base is not None
    device = chosen_device(options.device)
    machine = fingerprint()
    facts = (machine, device, device_count(machine, device), options.results.resolve() / "gate")
    if (top := users_repository(Path.cwd(), options.matrices or ())) is None:
        paths = gate_matrices(options.matrices or ())
        _check_margin(options, paths, machine)
        return OwnSources(ROOT, options.base, paths, *facts), paths, machine, device
    paths = matrices_of(top, options.matrices or ())
    keep_out_of_git(facts[3])
    return UsersRepository(top, options.base, paths, *facts, lambda line: say(console, line)), paths, machine, device


def keep_out_of_git(folder: Path) -> None:
    """Let git ignore what the gate writes into a user's repository. Raises MissingError where it cannot write."""
    ignore = folder / ".gitignore"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise MissingError(
            f"{folder}: nothing can be written there: {error.strerror}; name another --results"
        ) from None


def _against_baselines(options: RegressOptions, console: Console) -> Report:
    paths = gate_matrices(options.matrices or ())
    device = chosen_device(options.device)
    machine = fingerprint()
    kept = options.results / "baselines"
    findings: list[GateFinding] = []
    found: list[tuple[Path, baselines.Baseline]] = []
    for path in paths:
        try:
            found.append((path, baselines.find(kept, path.stem, machine)))
        except baselines.NoBaseline as error:
            findings.append(GateFinding(path.stem, "", None, Verdict.NO_BASELINE, str(error)))
    code = code_identity()
    notes: list[str] = []
    began_s = time.monotonic()
    if found:
        _check_margin(options, paths, machine)
        with ExitStack() as open_agents, progress(console) as view:
            open_agents.enter_context(only_one(COMMAND, lambda line: say(console, line)))
            began_s = time.monotonic()
            agent = open_agent(ROOT, options.results.resolve() / "gate" / "logs" / "head.log", open_agents)
            of_head = describe(agent, "these sources", BenchError)
            measurement = Measurement(agent, device, options.data_dir, options.results.resolve(), view.measuring)
            comparison = BaselineComparison(measurement, found, options.limits, options.rounds or BASELINE_ROUNDS)
            for line in comparison.noise_warnings():
                say(console, line)
            told, notes = comparison.judge(began_s + options.budget_s, device_count(machine, device))
            findings += told
        check_unchanged(ROOT, of_head)
    dates = sorted({one.saved_at[:10] for _, one in found})
    name = f"the baseline of {', '.join(dates)}" if found else "no baseline"
    base_code = found[0][1].code if found else {}
    return Report(
        Side(name, base_code), Side(name_of(code), code), findings, notes, machine, seconds=time.monotonic() - began_s
    )


def _check_margin(options: RegressOptions, paths: Sequence[Path], machine: dict[str, Any]) -> None:
    """Refuse a margin below the noise floor that a baseline's A/A runs show."""
    if options.limits.margin is None:
        return
    for path in paths:
        try:
            kept = baselines.find(options.results / "baselines", path.stem, machine)
        except MissingError:
            continue
        rounds = options.rounds or (ROUNDS if options.base else BASELINE_ROUNDS)
        baselines.check_margin(options.limits.margin, kept.floors(rounds), rounds)


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end this as Ctrl-C does, with everything cleaned up."""

    def interrupt(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    # nohup makes SIGHUP ignored, so that the work continues when the terminal closes.
    heard = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
