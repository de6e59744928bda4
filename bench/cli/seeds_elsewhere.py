"""The seeds of `bench run` on the hosts of a cluster: a sweep of one cell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from bench.cli.alone import alone
from bench.cli.executor_options import ExecutorChoice, Hosts, hosts_elsewhere
from bench.cli.run_options import RunOptions
from bench.cli.seed_runs import SeedRuns
from bench.execution.executors.data import fingerprints
from bench.execution.recording import Recorder
from bench.execution.sweep import Sweep
from bench.report.terminal.harmless import Harmless
from bench.report.terminal.sweep_progress import SweepProgress, view
from bench.spec.matrix import Cell
from bench.spec.recipe import Recipe
from bench.spec.sweep_plan import PlannedRun, SweepPlan
from bench.statistics.sampling import Bounds
from bench.text.console import say


@contextmanager
def hosts_of_seeds(options: RunOptions, device: str, recorder: Recorder, console: Console) -> Iterator[Hosts | None]:
    """The hosts of a cluster, which no other command uses for the same results meanwhile; None if the runs are here.

    Raises StoreError if no record can be kept, and what `hosts_elsewhere` raises.
    """
    if options.executor == ExecutorChoice.local:
        yield None
        return
    recorder.check_writable()
    jobs = 1 if options.executor == ExecutorChoice.ray else None
    with (
        alone(recorder.store.path.with_name("sweep.lock"), console),
        hosts_elsewhere(
            options.executor,
            options.address,
            options.slurm,
            device,
            jobs,
            options.data_dir,
            recorder.store,
            options.hosts.choice(),
            lambda line: say(console, line),
        ) as hosts,
    ):
        yield hosts


def run_on(hosts: Hosts, seeds: SeedRuns, recipe: Recipe, device: str, sampling: Bounds, data_dir: Path | None) -> None:
    """Run and record every seed, as many at once as the hosts allow.

    Raises StoreError if a record cannot be kept, MissingError if there are no hosts any more.
    """
    cell = Cell({}, seeds.cell, seeds.config, recipe)
    made = SweepPlan([PlannedRun(cell, seed, None, "run") for seed in seeds.seeds])
    progress = SweepProgress(seeds.recorder.recipe, made, [], seeds.measure, hosts.slots)
    known = fingerprints([recipe.data], data_dir)
    try:
        with Harmless(view(seeds.console, progress)) as live:
            Sweep(
                made,
                seeds.recorder,
                live,
                device,
                seeds.measure,
                hosts.executor,
                sampling,
                data_dir,
                price=seeds.price,
                fingerprints=known,
            ).run()
    finally:
        seeds.finished = [entry.run for entry in made.entries if entry.run is not None]
