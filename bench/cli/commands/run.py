"""Train RECIPE to its target, timed and recorded, once for each seed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.about import STARTED_S
from bench.cli import run_options
from bench.cli.checkpointing import Checkpointing, add_pauses
from bench.cli.done_seeds import done_runs
from bench.cli.executor_options import ExecutorChoice, Hosts, check_options
from bench.cli.run_options import RunOptions
from bench.cli.seed_runs import SeedRuns
from bench.cli.seeds_elsewhere import hosts_of_seeds, run_on
from bench.errors import MissingError, UsageError
from bench.execution import duration_estimate, programs
from bench.execution.device_pool import find_gpus
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Measured, Refused
from bench.execution.recording import Attempt, Recorder
from bench.execution.runner import execute
from bench.host.contention import LoadCheck
from bench.host.fingerprint import chosen_device, device_count
from bench.pipelines.datasets.catalog import is_part
from bench.registry.reference import anchored, label
from bench.report.terminal.harmless import Harmless
from bench.report.terminal.progress import Progress, view
from bench.report.terminal.summary import print_summary
from bench.runs import checkpoint, weights
from bench.runs.run import Run
from bench.spec import kept_nets, prices, recipes
from bench.spec.job import Job
from bench.spec.measures import MEASURES, ON_SEVERAL_DEVICES, TRAIN_NOTHING, with_timeout
from bench.spec.recipe import Recipe
from bench.statistics.sampling import Bounds
from bench.text import streams, units

# A training of which it matters that the machine was busy before it began, and to which the look adds nothing.
LONG_S = 60.0


def run(options: RunOptions, console: Console) -> int:
    """The exit code is that of the worst run; raises what `run_seeds` raises."""
    return run_seeds(options, console).exit_code()


def run_seeds(
    options: RunOptions, console: Console, asked: Recipe | None = None, began_s: float = STARTED_S
) -> Campaign:
    """Run every seed and print the table; the runs.

    `asked` is the recipe where it is no file's; `began_s` is the reading of `time.monotonic` at which the user asked.
    Raises `UsageError` for a recipe that does not fit, `MissingError` for data, hardware or room for
    the results that is missing. Both come before any training.
    """
    kept_nets.RESULTS.set(options.results)
    look = LoadCheck()  # from here on, so that hardly anything has to be waited for
    streams.work_outlasts_output()
    check_options(options.executor, options.address, options.slurm)
    options = replace(options, measure=anchored(options.measure, Path()))
    MEASURES.find(options.measure)
    device = chosen_device(options.device)
    recipe = asked or recipes.load(options.recipe, device, options.settings or ())
    recipes.check_measure(recipe, options.measure)
    run_options.check(options, recipe)
    if options.keep_compiled:
        programs.kept_folder()
    recorder = Recorder(options.results, Path(options.recipe).stem, remarks=options.remarks.checked())
    if options.executor == ExecutorChoice.local:
        options.hosts.host(recorder.machine)
        _check_devices(options, recipe, device, device_count(recorder.machine, device))
    with ExitStack() as held:
        hosts = held.enter_context(hosts_of_seeds(options, device, recorder, console))
        campaign = Campaign(options, recipe, device, recorder, console, look, began_s, hosts)
        held.enter_context(closing(campaign.checkpointing))
        recorder.check_writable()
        if options.keep_weights:
            weights.make_room(options.results)
        if recipe.checkpoint is not None:
            checkpoint.make_room(options.results)
        campaign.announce()
        try:
            campaign.run_all()
        finally:
            # Whatever ends the last one, those before it are done.
            if campaign.finished or not campaign.seeds:
                print_summary(console, campaign.runs, recorder.store.path)
    return campaign


def _check_devices(options: RunOptions, recipe: Recipe, device: str, found: int, hosts: int = 1) -> None:
    if recipe.device_count == 1:
        return
    lack = recipes.lack_of_devices(recipe, device, options.measure, found, hosts)
    if lack is not None:
        raise (MissingError if options.measure in ON_SEVERAL_DEVICES else UsageError)(f"devices: {lack}")


@dataclass(frozen=True)
class Running:
    """The run of a seed that has begun, and what shows it until `shown` is closed."""

    seed: int
    attempt: Attempt
    job: Job
    shown: ExitStack
    follow: Callable[[dict[str, Any]], None]


class Campaign(SeedRuns):
    """The runs of one recipe."""

    def __init__(
        self,
        options: RunOptions,
        recipe: Recipe,
        device: str,
        recorder: Recorder,
        console: Console,
        look: LoadCheck,
        began_s: float,
        hosts: Hosts | None,
    ) -> None:
        """`hosts` are those of a cluster, None if the runs are here. Raises UsageError for devices that it lacks."""
        self.hosts, self.expected_s = hosts, 0.0
        if hosts is not None:
            _check_devices(options, recipe, device, hosts.devices, hosts.count)
        self.options, self.recipe, self.device, self.look, self.began_s = options, recipe, device, look, began_s
        self.weights = weights.find(options.weights, options.results) if options.weights is not None else None
        self.nets = kept_nets.needed(recipe, options.measure)
        trained = {"weights": self.weights.identity} if self.weights else {}
        identity = recipes.identify(recipe.config() | trained, device, options.measure)
        self.sampling = Bounds()
        if options.sampling_timeout_s is not None:
            self.sampling = with_timeout(self.sampling, options.sampling_timeout_s, options.measure)
        # What has no accuracy has no target, whatever the recipe says.
        has_accuracy = options.measure == "time_to_accuracy" or self.weights is not None
        self.target = recipe.target_accuracy if has_accuracy else None
        price = prices.choose(options.price, ("recipe", recipe.price_per_hour))
        asked = range(options.first_seed, options.first_seed + (options.seeds or recipe.seeds))
        self.known = recorder.store.read({identity[1]})
        done = self._done(recorder, asked)
        super().__init__(recorder, console, [s for s in asked if s not in done], identity, options.measure, price)
        self.earlier = list(done.values())
        self.checkpointing = Checkpointing(recipe, recorder, self.cell, self.seeds, options.resume)

    def _done(self, recorder: Recorder, seeds: range) -> dict[int, Run]:
        """The earlier runs of seeds that are not run again: the user asked for so many in all, or to go on."""
        options = self.options
        if options.again or (options.seeds is None and not options.resume):
            return {}
        code, how = recorder.code["sources_sha256"], (options.shared_process, options.keep_compiled)
        host = options.hosts.host(recorder.machine) if self.hosts is None else None
        machine_ids = {recorder.machine["id"]} if self.hosts is None else self.hosts.machine_ids
        # One that kept no weights has not done what is asked for.
        known = [run for run in self.known if not options.keep_weights or weights.are_kept(run.run_id, options.results)]
        return done_runs(known, seeds, machine_ids, code, *how, host)

    def announce(self) -> None:
        """Say what will run, towards what, and how long it took before."""
        recipe = self.recipe
        trains = self.options.measure == "time_to_accuracy"
        target = f" to {units.percent(self.target)}" if self.target is not None else ""
        what = f"{recipe.epochs:g} epochs" if trains else label(self.options.measure)
        subject = f"{label(recipe.model.name)} on {label(recipe.data.name)}{target}, "
        subject = "" if self.options.measure in TRAIN_NOTHING else subject
        self.say(f"{self.recorder.recipe}: {subject}{what} on {self.device}, {self.counted_seeds}")
        if self.target and is_part(recipe.data.name, recipe.data.options):
            self.say(f"Note: a part of {recipe.data.name} is another data set, whose runs are on no leaderboard")
        if self.earlier:
            done = f"{units.counted(len(self.earlier), 'seed')} of {len(self.earlier) + len(self.seeds)}"
            where = "on this machine" if self.hosts is None else "on machines like the cluster's"
            self.say(f"Done before, by this code {where}: {done}; --again runs them again")
        if not self.seeds:
            return
        for line in self.checkpointing.told():
            self.say(line)
        # Of those that begin in the same way: a seed that finds everything loaded and compiled takes less.
        shared = self.options.shared_process
        known = [run for run in self.known if run.shares_process == shared]
        expected = duration_estimate.expect(self.cell, self.recorder.machine["id"], known)
        self.say(f"Expected: {expected.said}")
        self.expected_s = (expected.total_s or 0.0) * len(self.seeds)
        if self.hosts is None:
            self._look_around()

    def _look_around(self) -> None:
        """Say what of this machine may disturb the runs."""
        if self.options.device == "auto" and self.device == "cpu" and (why := self.recorder.machine["gpu_unused"]):
            self.say(f"Warning: runs on the CPU: {why}")
        if warning := self.look.warning(self.device, wait=self.expected_s >= LONG_S):
            self.say(f"Warning: {warning}")
        if self.device == "cuda" and (busy := find_gpus().busy):
            self.say(f"Warning: others compute on {'; '.join(what for _, what in busy)}, and disturb the clock")
        checked_s = time.monotonic()
        if off := self.options.hosts.check(self.recorder, self.device, self.expected_s):
            self.say(f"Warning: {off}")
        # The first run does not pay for the check.
        self.began_s += time.monotonic() - checked_s

    def run_all(self) -> None:
        """One run a seed, in order if they are here; an interrupted one is the last.

        Raises what the worker refuses, or on a cluster `run_on`, and `StoreError` where a record cannot be kept.
        """
        if self.hosts is not None:
            self._run_elsewhere(self.hosts)
            return
        # Around all of it, so that no Ctrl-C comes between the end of a run and its record.
        with Interrupts() as interrupts:
            while len(self.finished) < len(self.seeds) and not interrupts.count:
                self._run_process(interrupts)

    def _run_elsewhere(self, hosts: Hosts) -> None:
        check = self.options.hosts.check_of_cluster(self.recorder, self.expected_s) if self.seeds else None
        if hosts.check and check:
            hosts.check(check)
        run_on(hosts, self, self.recipe, self.device, self.sampling, self.options.data_dir)

    def _run_process(self, interrupts: Interrupts) -> None:
        """Run the next seed in a process of its own; where it is shared, those after it too, as long as it lasts.

        The seeds that a process leaves when it fails are for a new one.
        """
        running = self._begin()

        def next_job(measured: Measured) -> Job | None:
            nonlocal running
            if interrupts.count or len(self.finished) + 1 == len(self.seeds):
                return None
            self._end(running, measured)
            running = self._begin()
            return running.job

        try:
            measured = execute(
                running.job, lambda event: running.follow(event), interrupts=interrupts, next_job=next_job
            )
            self._end(running, measured)
        except Refused:
            self.recorder.drop(running.attempt)
            raise
        finally:
            running.shown.close()
        left = len(self.seeds) - len(self.finished)
        if self.options.shared_process and left and not interrupts.count:
            seeds = "seed that is left goes on" if left == 1 else f"{left} seeds that are left go on"
            self.say(f"That process has ended, and the {seeds} in a new process")

    def _begin(self) -> Running:
        """The next seed's run, shown from now on."""
        position = len(self.finished)
        seed = self.seeds[position]
        resume = self.checkpointing.resumed.get(seed)
        origin_s = self.began_s if position == 0 else time.monotonic()
        # The clock goes on where it stood.
        origin_s -= resume.resumed_s if resume else 0.0
        attempt = self.recorder.begin(self.recipe, self.options.measure)
        job = Job(
            self.recipe,
            seed,
            self.device,
            self.options.data_dir,
            self.options.results / "cache",
            attempt.log,
            origin_s,
            self.options.measure,
            self.sampling,
            keep_weights=weights.place_of(attempt.run_id, self.options.results) if self.options.keep_weights else None,
            weights=self.weights,
            nets=self.nets,
            pictures=attempt.pictures,
            shared_process=self.options.shared_process,
            keep_compiled=self.options.keep_compiled,
            checkpoints=self.checkpointing.place(attempt, seed),
            resume=resume,
            parts=resume.parts(time.time()) if resume else (),
        )
        progress = Progress(self.title(seed), self.target, self.price_per_hour, origin_s)
        shown = ExitStack()
        return Running(seed, attempt, job, shown, shown.enter_context(Harmless(view(self.console, progress))))

    def _end(self, running: Running, measured: Measured) -> None:
        """Record a run, and say how it ended."""
        # At once: whatever else may go wrong, a run that was measured is kept.
        add_pauses(measured, running.job)
        record = self.keep(running.attempt, measured, running.seed)
        running.shown.close()
        self.say(f"{self.outcome(record)} in all")
        if told := self.checkpointing.ended(record, running.job):
            self.say(told)
