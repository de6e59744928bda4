"""`bench baseline`: keep what the present sources measure on this machine, list it, show it, drop it."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.cli.commands.regress import COMMAND, ROOT, gate_matrices, sigterm_interrupts
from bench.errors import BenchError, MissingError, UsageError
from bench.gate import baseline as baselines
from bench.gate.baseline import Baseline
from bench.gate.checkout import refuse_elsewhere
from bench.gate.compare import Limits
from bench.gate.drift import KERNELS
from bench.gate.duel import ROUNDS
from bench.gate.lock import only_one
from bench.gate.own_sources import SHORT_COMMIT, open_tree
from bench.gate.quantity import QUANTITIES
from bench.gate.solo import Solo
from bench.gate.study import COMPARISONS, planted, study
from bench.gate.tree import TreeFailed
from bench.host.fingerprint import default_device, device_count, fingerprint
from bench.host.provenance import code_identity
from bench.report.terminal.gate import progress, study_table
from bench.statistics.estimates import median
from bench.text import streams, units
from bench.text.console import say
from bench.text.fitting import print_table

# As many A/A runs as tell the noise to a quarter of itself.
RUNS = 20


@dataclass(frozen=True)
class SaveOptions:
    """The command line of `bench baseline save`."""

    matrices: tuple[str, ...] = ()
    runs: int = RUNS
    data_dir: Path | None = None
    device: str = "auto"
    results: Path = Path("results")


def save(options: SaveOptions, console: Console) -> None:
    """Measure each matrix so many times and keep it for this machine; raises MissingError where that cannot be."""
    refuse_elsewhere(ROOT, Path.cwd(), "bench baseline save")
    streams.work_outlasts_output()
    paths = gate_matrices(options.matrices)
    device = default_device() if options.device == "auto" else options.device
    machine, code = fingerprint(), code_identity()
    folder = options.results / "baselines"
    with sigterm_interrupts(), only_one(COMMAND, lambda line: say(console, line)), ExitStack() as open_trees:
        tree = open_tree(ROOT, options.results.resolve() / "gate" / "logs" / "head.log", open_trees)
        try:
            tree.await_ready()
        except TreeFailed as error:
            raise BenchError(f"these sources cannot be run: {error}") from None
        for path in paths:
            with progress(console) as view:
                solo = Solo(tree, device, options.data_dir, options.results.resolve(), view.measuring)
                results = solo.measure(path, device_count(machine, device), options.runs, math.inf)
            failed = next((result for result in results if result.metrics is None), None)
            if failed:
                raise BenchError(f"{failed.label}: {failed.reason}; nothing was saved of it")
            made = baselines.make(path.stem, results, machine, code, solo.reference())
            kept = baselines.save(made, folder)
            say(console, f"{kept}: {len(results)} runs; {_noise(made)}")
            for told in solo.disturbed():
                say(console, f"Note: {told}, and save it again")
    if code.get("dirty"):
        say(console, "Note: the sources have changes that are not committed; the baseline is of these")


def list_baselines(results: Path, console: Console) -> None:
    """Each baseline, and whether it is of this machine. Raises MissingError where there is none."""
    folder = results / "baselines"
    kept = baselines.read_all(folder) if folder.is_dir() else []
    if not kept:
        raise MissingError(f"there are no baselines in {folder}; `bench baseline save` makes some")
    here = fingerprint()["id"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("name", "machine", "saved", "code", "runs", "noise floor"):
        table.add_column(name)
    for one in kept:
        machine = f"{one.machine.get('cpu_model')}, {one.machine.get('usable_cores')} cores"
        table.add_row(
            one.name,
            f"{machine}{' (this one)' if one.machine['id'] == here else ''}",
            one.saved_at[:16].replace("T", " "),
            _code(one),
            str(len(one.results)),
            _floors(one),
        )
    console.print(table)


def show(results: Path, name: str, console: Console) -> None:
    """All that a baseline holds."""
    one = baselines.read(baselines.named(results / "baselines", name))
    say(console, f"{one.name}: saved {one.saved_at}, of code {_code(one)}")
    say(console, "machine: " + ", ".join(f"{key} {value}" for key, value in one.machine.items() if value is not None))
    for label in dict.fromkeys(result.label for result in one.results):
        runs = [result for result in one.results if result.label == label]
        say(console, f"{label}: {len(runs)} runs")
        for quantity in QUANTITIES[runs[0].measure]:
            values = [result.metrics[quantity.metric] for result in runs if result.metrics]
            known = [value for value in values if value is not None]
            if known:
                found = median(known)
                ends = f" [{quantity.show(found.low)}, {quantity.show(found.high)}]" if found.low is not None else ""
                say(console, f"  {quantity.name}: median {quantity.show(found.value)}{ends}, n = {found.n}")
    say(console, f"noise: {_noise(one)}")
    told = [f"{kernel} {units.duration(one.reference[f'{name}_s'])}" for name, kernel in KERNELS.items()]
    clock_hz = max((value for key, value in one.reference.items() if key.endswith("_hz")), default=None)
    clock = f"{clock_hz / 1e9:.2f} GHz" if clock_hz else "not visible"
    say(console, f"the machine itself: {', '.join(told)}; its clock: {clock}")


def noise(results: Path, name: str, rounds: int, limits: Limits, console: Console) -> None:
    """Comparisons of the baseline's runs with one another, by every rule; raises UsageError for too few of them."""
    one = baselines.read(baselines.named(results / "baselines", name))
    for label, (quantity, values) in one.times().items():
        try:
            outcomes = study(planted(values), limits.of(quantity), rounds)
        except ValueError as error:
            raise UsageError(
                f"{label}: {error}; `bench baseline save {one.matrix} --runs 200` makes a longer series"
            ) from None
        say(
            console,
            f"{label}, {quantity.name}: {COMPARISONS} comparisons of {rounds} pairs, drawn as blocks A B B A from "
            f"{len(values)} runs of the same code; a slow-down is planted by multiplying B's times",
        )
        print_table(console, study_table(outcomes))


def drop(results: Path, name: str, console: Console) -> None:
    """Remove one baseline."""
    path = baselines.named(results / "baselines", name)
    path.unlink()
    say(console, f"{path} is gone")


def _code(one: Baseline) -> str:
    commit = one.code.get("commit")
    return f"{commit[:SHORT_COMMIT]}{' with changes' if one.code.get('dirty') else ''}" if commit else "no commit"


def _noise(one: Baseline) -> str:
    noise = one.noise()
    if not noise:
        return "too few runs to know the noise"
    told = [
        f"{label}: neighbouring runs differ by {deviation:.1%} (sd), so that {ROUNDS} rounds can show {floor:.1%}"
        for (label, deviation), floor in zip(noise.items(), one.floors(ROUNDS).values(), strict=True)
    ]
    return "; ".join(told)


def _floors(one: Baseline) -> str:
    floors = one.floors(ROUNDS)
    return f"{max(floors.values()):.1%}" if floors else "unknown"
