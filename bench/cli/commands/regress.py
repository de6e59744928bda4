"""`bench regress`: whether the present sources are slower than a revision, or than a stored baseline."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

import bench
from bench.errors import BenchError, MissingError, UsageError
from bench.gate import baseline as baselines
from bench.gate.checkout import Checkout, checked_out, refuse_elsewhere, resolve, top_of
from bench.gate.compare import Limits
from bench.gate.duel import ROUNDS, Arm, Duel
from bench.gate.lock import only_one
from bench.gate.report import Finding, Report, Side, Unsure
from bench.gate.solo import ROUNDS as SOLO_ROUNDS
from bench.gate.solo import Against, Solo
from bench.gate.tree import Tree, TreeFailed
from bench.gate.trial import Trial, open_trials
from bench.gate.verdict import LEAST_ROUNDS, Verdict
from bench.host.fingerprint import default_device, device_count, fingerprint
from bench.host.provenance import code_identity, sources_sha256
from bench.report.terminal.gate import Format, progress, write_report
from bench.runs.store import Store
from bench.spec import matrix as matrices
from bench.text import streams
from bench.text.canonical import canonical_json
from bench.text.console import say
from bench.text.undecodable import command_line

# The matrices of the gate are those whose names begin so.
GATE = "gate_"
SHORT_COMMIT = 9
COMMAND = command_line()
ROOT = Path(bench.__file__).resolve().parent.parent


@dataclass(frozen=True)
class RegressOptions:
    """The command line of `bench regress`."""

    matrices: Sequence[str] = ()
    base: str | None = None
    budget_s: float = 300.0
    rounds: int | None = None
    limits: Limits = field(default_factory=Limits)
    unsure: Unsure = "say"
    fresh: bool = False
    data_dir: Path | None = None
    device: str = "auto"
    results: Path = Path("results")
    format: Format = "terminal"
    out: Path | None = None
    junit: Path | None = None


def regress(options: RegressOptions, console: Console) -> int:
    """Measure, judge, tell; returns the exit code: 0 no regression, 1 a regression, 3 nothing to compare with, 4 not
    decided where that is to have a code of its own.

    Raises UsageError for a wrong revision, matrix or margin, and in another repository than bench's; KeyboardInterrupt
    goes on its way once all processes are ended and the base is removed.
    """
    refuse_elsewhere(ROOT, Path.cwd(), "bench regress")
    if options.rounds is not None and options.rounds < LEAST_ROUNDS:
        raise UsageError(f"--rounds {options.rounds}: fewer than {LEAST_ROUNDS} can tell nothing")
    streams.work_outlasts_output()
    with sigterm_interrupts():
        report = (
            _against_revision(options, console) if options.base is not None else _against_baselines(options, console)
        )
    report = replace(report, unsure=options.unsure)
    write_report(report, options.format, options.out, options.junit, console)
    return report.exit_code


def gate_matrices(names: Sequence[str]) -> list[Path]:
    """The files of these matrices, each once, by default of the gate's own.

    Raises UsageError for one that is wrong, and for two of one name, by which results are kept.
    """
    chosen = names or [name for name in matrices.names() if name.startswith(GATE)]
    for name in chosen:
        matrices.load(name)  # which refuses what is wrong in it
    paths = [(Path(name) if Path(name).suffix else matrices.MATRICES / f"{name}.yaml").resolve() for name in chosen]
    by_name: dict[str, Path] = {}
    for path in paths:
        if by_name.setdefault(path.stem, path) != path:
            raise UsageError(f"{by_name[path.stem]} and {path} have one name; rename one, or call twice")
    return list(by_name.values())


def _against_revision(options: RegressOptions, console: Console) -> Report:
    assert options.base is not None
    top = top_of(ROOT)
    commit = resolve(top, options.base)
    paths = gate_matrices(options.matrices)
    device = default_device() if options.device == "auto" else options.device
    machine = fingerprint()
    _check_margin(options, paths, machine)
    folder = options.results.resolve() / "gate"
    rounds = options.rounds or ROUNDS
    with ExitStack() as open_trees:
        open_trees.enter_context(only_one(COMMAND, lambda line: say(console, line)))
        checkout = open_trees.enter_context(checked_out(top, commit))
        began_s = time.monotonic()
        say(console, f"{options.base} ({commit[:SHORT_COMMIT]}) against the working tree, on {device}")
        head = open_tree(checkout.head, folder / "logs" / "head.log", open_trees)
        try:
            base = open_tree(checkout.base, folder / "logs" / "base.log", open_trees)
        except TreeFailed as error:
            raise MissingError(f"the base {options.base} cannot be run here: {error}") from None
        of_head = _describe(head, "these sources", BenchError)
        of_base = _describe(base, f"the base {options.base}", MissingError)
        pairs = [_for_both(path, top, checkout) for path in paths]
        trials = open_trials(pairs, base, head, device, device_count(machine, device))
        key = _key(of_base, of_head, machine, paths, device)
        store = Store(folder / f"regress-{key}.jsonl")
        if options.fresh:
            store.path.unlink(missing_ok=True)
        with progress(console) as view:
            duel = Duel(
                trials,
                Arm("base", base, of_base["code"], machine),
                Arm("head", head, of_head["code"], machine),
                store,
                options.limits,
                device,
                folder,
                options.data_dir.resolve() if options.data_dir else None,
                rounds,
                COMMAND,
                view.decided,
                view.running,
            )
            resumed = duel.resume()
            try:
                duel.run(began_s + options.budget_s)
            except TreeFailed as error:
                raise BenchError(f"measuring ended: {error}") from None
            except KeyboardInterrupt:
                say(console, f"Stopped after {_rounds(trials)}; the same command goes on from there")
                raise
        _check_unchanged(of_head)
    return Report(
        Side(f"{options.base} ({commit[:SHORT_COMMIT]})", of_base["code"]),
        Side(_name_of(of_head["code"]), of_head["code"]),
        duel.findings(),
        _notes(of_base, of_head, duel, resumed),
        machine,
        seconds=time.monotonic() - began_s,
        rounds=max((len(trial.pairs) for trial in trials), default=0),
    )


def _against_baselines(options: RegressOptions, console: Console) -> Report:
    paths = gate_matrices(options.matrices)
    device = default_device() if options.device == "auto" else options.device
    machine = fingerprint()
    kept = options.results / "baselines"
    findings: list[Finding] = []
    found: list[tuple[Path, baselines.Baseline]] = []
    for path in paths:
        try:
            found.append((path, baselines.find(kept, path.stem, machine)))
        except baselines.NoBaseline as error:
            findings.append(Finding(path.stem, "", None, Verdict.NO_BASELINE, str(error)))
    code = code_identity()
    notes: list[str] = []
    began_s = time.monotonic()
    if found:
        _check_margin(options, paths, machine)
        with ExitStack() as open_trees, progress(console) as view:
            open_trees.enter_context(only_one(COMMAND, lambda line: say(console, line)))
            began_s = time.monotonic()
            tree = open_tree(ROOT, options.results.resolve() / "gate" / "logs" / "head.log", open_trees)
            of_head = _describe(tree, "these sources", BenchError)
            solo = Solo(tree, device, options.data_dir, options.results.resolve(), view.measuring)
            against = Against(solo, found, options.limits, options.rounds or SOLO_ROUNDS)
            for line in against.loud():
                say(console, line)
            told, notes = against.judge(began_s + options.budget_s, device_count(machine, device))
            findings += told
        _check_unchanged(of_head)
    dates = sorted({one.saved_at[:10] for _, one in found})
    name = f"the baseline of {', '.join(dates)}" if found else "no baseline"
    base_code = found[0][1].code if found else {}
    return Report(
        Side(name, base_code), Side(_name_of(code), code), findings, notes, machine, seconds=time.monotonic() - began_s
    )


def open_tree(root: Path, log: Path, open_trees: ExitStack) -> Tree:
    """An agent for the sources in `root`, ended with `open_trees`. Raises TreeFailed for one of unknown protocol."""
    log.unlink(missing_ok=True)
    tree = Tree(root, log)
    open_trees.callback(tree.close)
    return tree


def _describe(tree: Tree, whose: str, error_kind: type[BenchError]) -> dict[str, Any]:
    try:
        tree.await_ready()
        described: dict[str, Any] = tree.ask("describe")
    except TreeFailed as error:
        raise error_kind(f"{whose} cannot be run here: {error}") from None
    return described


def _for_both(path: Path, top: Path, checkout: Checkout) -> tuple[Path, Path]:
    """A matrix' file for each tree: head says what is compared, and each tree has its own recipes beside it."""
    if not path.is_relative_to(top):
        return path, path
    inside = path.relative_to(top)
    for_base = checkout.base / inside
    for_base.parent.mkdir(parents=True, exist_ok=True)
    for_base.write_bytes(path.read_bytes())
    return for_base, checkout.head / inside


def _check_unchanged(described: dict[str, Any]) -> None:
    if described["sources"] != sources_sha256(ROOT):
        raise UsageError("the sources were changed while they were measured; run it again, and leave them alone")


def _key(
    of_base: dict[str, Any], of_head: dict[str, Any], machine: dict[str, Any], paths: Sequence[Path], device: str
) -> str:
    """Equal for calls whose rounds may be counted together."""
    parts = {
        "sources": [of_base["sources"], of_head["sources"]],
        "machine": machine["id"],
        "matrices": [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths],
        "device": device,
        # Pairs of calls before each round had a start of its own are no independent ones.
        "starts": "a round",
    }
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:12]


def _check_margin(options: RegressOptions, paths: Sequence[Path], machine: dict[str, Any]) -> None:
    """Refuse a margin that was asked for and that a baseline's A/A runs say is not to be had."""
    if options.limits.margin is None:
        return
    for path in paths:
        try:
            kept = baselines.find(options.results / "baselines", path.stem, machine)
        except MissingError:
            continue
        rounds = options.rounds or (ROUNDS if options.base else SOLO_ROUNDS)
        baselines.check_margin(options.limits.margin, kept.floors(rounds), rounds)


def _notes(of_base: dict[str, Any], of_head: dict[str, Any], duel: Duel, resumed: int) -> list[str]:
    notes = []
    if of_base["sources"] == of_head["sources"]:
        notes.append("both sides are the same sources, so that every difference is noise")
    elif of_head["code"].get("dirty"):
        notes.append("head is the working tree, with changes that are not committed")
    if resumed:
        notes.append(f"{resumed} pairs of runs are those of an earlier call; --fresh measures all anew")
    notes += duel.contended()
    notes += duel.loud()
    if (drift := duel.drift()) is not None:
        notes.append(drift)
    return notes


def _name_of(code: dict[str, Any]) -> str:
    commit = code.get("commit")
    if not commit:
        return "these sources"
    return f"{commit[:SHORT_COMMIT]}{' with changes' if code.get('dirty') else ''}"


def _rounds(trials: Sequence[Trial]) -> str:
    count = sum(len(trial.pairs) for trial in trials)
    return f"{count} pair{'' if count == 1 else 's'} of runs"


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end this as Ctrl-C does, with everything cleaned up."""

    def interrupt(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
