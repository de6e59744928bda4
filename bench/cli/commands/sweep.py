"""Run every cell of MATRIX with every seed, a process each, and nothing that is done already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from bench.cli.alone import alone
from bench.cli.executor_options import ExecutorChoice, Hosts, check_options, hosts_elsewhere, hosts_here
from bench.cli.sweep_options import OrderChoice, SweepOptions, jobs_of, only, sampling_of
from bench.errors import STOPPED, MissingError
from bench.execution.executors.data import fingerprints
from bench.execution.recorded_code import ScriptCode
from bench.execution.recording import Recorder
from bench.execution.sweep import Sweep
from bench.host.fingerprint import chosen_device, torch_build
from bench.pipelines.datasets import load_dataset, locate
from bench.pipelines.errors import PipelineError
from bench.registry.reference import label
from bench.report.terminal.harmless import Harmless
from bench.report.terminal.sweep import print_plan, print_summary
from bench.report.terminal.sweep_progress import SweepProgress, view
from bench.spec import kept_nets, prices
from bench.spec import matrix as matrices
from bench.spec.matrix import Cell, Matrix, Order
from bench.spec.recipe import Recipe
from bench.spec.sweep_plan import FAILURES, SweepPlan, check_rerun, plan
from bench.text import streams, units
from bench.text.console import say

EPILOG = (
    "Exit codes: 0 every cell that this machine can run is ok (cells that it cannot run are skipped, and said); "
    "1 a cell failed or missed its target; 2 wrong usage or config; 3 no cell can be run here: data or hardware "
    "missing; 130 stopped by Ctrl-C, once after the present run, twice at once; the same command goes on."
)


def sweep(options: SweepOptions, console: Console) -> int:
    """The exit code is 0 where the last run of every cell that can be here is ok, or is left for later by the limit; 1
    where one is not; 3 where none can be here; 130 after Ctrl-C. Raises what `run_cells` raises.
    """
    code, made = run_cells(options, console)
    if options.report:
        from bench.cli.sweep_page import write_sweep_page

        write_sweep_page(matrices.load(options.matrix), made, options.results, console)
    return code


def run_cells(options: SweepOptions, console: Console) -> tuple[int, SweepPlan]:
    """Run what is not done yet and print the table; returns the exit code and the result of each cell and seed.

    Raises `UsageError` for a mistake in the matrix or the options, `MissingError` where results cannot be kept, or no
    run can have its data.
    """
    streams.work_outlasts_output()
    check_options(options.executor, options.address, options.slurm)
    device = chosen_device(options.device)
    kept_nets.RESULTS.set(options.results)
    matrix = matrices.load(options.matrix)
    spec = matrix.spec
    code = ScriptCode(matrix.folder, spec.command.argv) if spec.command is not None else None
    recorder = Recorder(options.results, spec.measured, matrix.name, code, options.remarks.checked())
    is_here = options.executor == ExecutorChoice.local
    if device == "cuda" and is_here and not torch_build()["torch_cuda"]:
        raise MissingError("--device cuda: this torch is a CPU build; install one for CUDA, or use --device cpu")
    with _hosts(options, device, recorder, console) as find_hosts:
        return _run_on(find_hosts, options, matrix, recorder, device, console)


@contextmanager
def _hosts(options: SweepOptions, device: str, recorder: Recorder, console: Console) -> Iterator[Callable[[], Hosts]]:
    """Gives what finds the hosts: this machine, looked at anew at each call, or those of a cluster."""
    jobs = jobs_of(options.jobs or ("auto" if options.executor == ExecutorChoice.slurm else "1"))
    if options.executor == ExecutorChoice.local:
        yield lambda: hosts_here(jobs, device, recorder.machine)
        return
    with hosts_elsewhere(
        options.executor,
        options.address,
        options.slurm,
        device,
        jobs,
        options.data_dir,
        recorder.store,
        options.hosts.choice(rounds=options.order == OrderChoice.interleaved),
        lambda line: say(console, line),
    ) as hosts:
        yield lambda: hosts


def _run_on(
    find_hosts: Callable[[], Hosts],
    options: SweepOptions,
    matrix: Matrix,
    recorder: Recorder,
    device: str,
    console: Console,
) -> tuple[int, SweepPlan]:
    """Plan, run and print."""
    spec = matrix.spec
    is_here = options.executor == ExecutorChoice.local
    host = options.hosts.host(recorder.machine) if is_here else None
    sampling = sampling_of(matrix, options.sampling_timeout_s)
    order: Order = options.order.value if options.order else spec.order

    def look() -> tuple[Hosts, list[tuple[Cell, int]]]:
        """The hosts, and every cell with every seed."""
        hosts = find_hosts()
        cells = only(matrices.expand(matrix, device, hosts.devices, hosts.count), options.only or (), matrix)
        return hosts, matrices.schedule(cells, range(spec.seeds), order, spec.order_seed)

    hosts, pairs = look()
    check_rerun(options.rerun, pairs)

    def make_plan() -> SweepPlan:
        made = plan(
            pairs,
            recorder.store.read({cell.id for cell, _ in pairs}),
            machine_ids=hosts.machine_ids,
            sources_sha256=recorder.code["sources_sha256"],
            rerun=options.rerun,
            resume=options.resume,
            limit=options.limit,
            most_neighbours=hosts.most_neighbours,
            host=host,
        )
        made.notes += hosts.notes
        if made.actions["run"] and spec.command is not None and (note := spec.command.target_note("epoch_pattern")):
            made.notes.append(note)
        if is_here and options.device == "auto" and device == "cpu" and (why := recorder.machine["gpu_unused"]):
            made.notes.append(f"runs on the CPU: {why}")
        _announce(console, matrix, made, device, order, hosts.slots)
        return made

    if options.dry_run:
        planned = make_plan()
        print_plan(console, planned, matrix.keys)
        return 0, planned
    recorder.check_writable()
    with alone(recorder.store.path.with_name("sweep.lock"), console) as waited:
        if waited:
            hosts, pairs = look()  # what the other one used is free now
        made = make_plan()
        known = None
        if is_here:
            get_data(made, options.data_dir, console)
            if made.actions["run"] and (off := options.hosts.check(recorder, device, made.left_s)):
                say(console, f"Warning: {off}")
        else:
            if hosts.check and made.actions["run"] and (check := options.hosts.check_of_cluster(recorder, made.left_s)):
                hosts.check(check)
            known = fingerprints((recipe.data for recipe in _due_recipes(made)), options.data_dir)
        progress = SweepProgress(matrix.name, made, matrix.keys, spec.measure, hosts.slots)
        try:
            with Harmless(view(console, progress)) as live:
                finished = Sweep(
                    made,
                    recorder,
                    live,
                    device,
                    spec.measure,
                    hosts.executor,
                    sampling,
                    options.data_dir,
                    spec.timeout_s,
                    prices.choose(options.price, ("matrix", spec.price_per_hour)),
                    matrix.folder,
                    known,
                ).run()
        finally:
            # Whatever ends the last run, those before it are done.
            print_summary(console, made, matrix.keys, spec.measure, options.results)
            say(console, f"Recorded in {recorder.store.path} as sweep {matrix.name}")
    if not finished:
        say(console, "Stopped before its end; the same command runs the rest")
        return STOPPED, made
    return _exit_code(console, made), made


def get_data(made: SweepPlan, data_dir: Path | None, console: Console) -> None:
    """Fetch the data sets that the runs to come need and that are not here, before anything is timed.

    What is not to be had is said once; the workers then skip its cells. Raises `MissingError` where no run to
    come can have its data.
    """
    names = {recipe.data.name for recipe in _due_recipes(made)}
    missing: dict[str, str] = {}
    for name in sorted(names):
        try:
            if locate(name, data_dir) is None:
                say(console, f"{name} is not here yet and is fetched before anything is timed")
                load_dataset(name, data_dir=data_dir)
        except PipelineError as error:
            missing[name] = str(error)
    if missing and missing.keys() == names:
        raise MissingError("\n".join(f"no run can have its data. {why}" for why in missing.values()))
    for name, why in missing.items():
        say(console, f"Note: what needs {name} will be skipped. {why}")


def _due_recipes(made: SweepPlan) -> list[Recipe]:
    return [entry.cell.recipe for entry in made.entries if entry.action == "run" and entry.cell.recipe is not None]


def _announce(console: Console, matrix: Matrix, made: SweepPlan, device: str, order: Order, jobs: int) -> None:
    spec, actions = matrix.spec, made.actions
    parts = [f"{actions['done']} done", f"{actions['run']} to run"]
    if actions["skip"]:
        parts.append(f"{actions['skip']} to be skipped")
    if actions["later"]:
        parts.append(f"{actions['later']} beyond the limit")
    say(
        console,
        f"{matrix.name}: {label(spec.measure)} of {spec.measured} on {device}, "
        f"{units.counted(len(made.cells), 'cell')} × {units.counted(spec.seeds, 'seed')}, {order}: {', '.join(parts)}",
    )
    for note in made.notes:
        say(console, f"Note: {note}")
    if actions["run"]:
        new = sum(entry.action == "run" and entry.expected_s is None for entry in made.entries)
        expected = "unknown, none of these cells has run on this machine" if made.left_s is None else None
        guess = f", where {new} runs of new cells are taken for the mean of the others" if new else ""
        left_s = None if made.left_s is None else made.left_s / jobs
        say(console, f"Expected: {expected or units.duration(left_s) + guess}")


def _exit_code(console: Console, made: SweepPlan) -> int:
    """Cells that cannot run here do not fail the sweep, unless none can (exit 3)."""
    statuses = {entry.run.status for entry in made.entries if entry.run is not None}
    # Cells skipped for lack of devices run as soon as there are enough.
    if any(entry.run.status in FAILURES for entry in made.entries if entry.run and entry.cell.skip is None):
        say(console, "When the cause is mended, --rerun failed runs again what failed or was skipped")
    if statuses == {"skipped"}:
        return MissingError.exit_code
    return 0 if statuses <= {"ok", "skipped"} else 1
