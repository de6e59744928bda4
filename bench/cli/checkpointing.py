"""The checkpoints of one command's runs: which of them go on from one, where new ones go, and what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from bench.errors import UsageError
from bench.execution.measured import Measured
from bench.execution.recording import Attempt, Recorder
from bench.runs import checkpoint, labels
from bench.runs.checkpoint import Checkpoint, CheckpointPlace, Ended
from bench.runs.checkpoint_lock import CheckpointLock
from bench.runs.run import Run
from bench.spec.job import Job
from bench.spec.recipe import Recipe
from bench.spec.sweep_plan import ANSWERS

MOST_KEYS_TOLD = 3


class Checkpointing:
    """For the runs of `recipe` with `seeds`; with `resume` they go on from the checkpoints in `resumed`, by seed.

    Raises `UsageError` for a checkpoint that is torn, of other code or another machine, or that another command is at.
    """

    def __init__(self, recipe: Recipe, recorder: Recorder, cell: str, seeds: Sequence[int], resume: bool) -> None:
        self._recipe, self._recorder, self._cell, self._seeds = recipe, recorder, cell, seeds
        self._resume = resume
        self._found: dict[int, Checkpoint] = {}
        if recipe.checkpoint is not None:
            found = {seed: self._find(seed) for seed in seeds}
            self._found = {seed: one for seed, one in found.items() if one is not None}
        self.resumed = self._found if resume else {}
        for one in self.resumed.values():
            one.check(recorder.code, recorder.machine)
        self._lock = CheckpointLock(recorder.results)
        if recipe.checkpoint is not None:
            self._hold(cell, seeds)

    def _hold(self, cell: str, seeds: Sequence[int]) -> None:
        """Raises `UsageError` where a seed is to go on that another command works on."""
        busy = [seed for seed in seeds if not self._lock.hold(cell, seed)]
        if busy and self._resume:
            self._lock.release()
            raise UsageError(
                f"--resume: another command works on seed{'s' if len(busy) > 1 else ''} {', '.join(map(str, busy))} of "
                "this cell; wait until it has ended, or leave out --resume, to begin anew beside it"
            )

    def close(self) -> None:
        """Let other commands go on from the checkpoints."""
        self._lock.release()

    def told(self) -> Iterator[str]:
        """What to say before the first run."""
        for seed in self._seeds if self._resume else self._found:
            found = self._found.get(seed)
            if found is None:
                yield f"Seed {seed} has no checkpoint and begins anew{self._others(seed)}"
                continue
            where = f"epoch {found.values.epoch} of {found.values.epochs:g}, of run {found.values.run_id}"
            if self._resume:
                yield f"Seed {seed} goes on after {where}"
            else:
                yield f"Seed {seed} begins anew; --resume would go on after {where}"

    def place(self, attempt: Attempt, seed: int) -> CheckpointPlace | None:
        """Where a run writes its checkpoints; None if its recipe asks for none."""
        if self._recipe.checkpoint is None:
            return None
        recorder = self._recorder
        return CheckpointPlace(
            checkpoint.folder_of(recorder.results),
            attempt.run_id,
            recorder.recipe,
            self._cell,
            seed,
            self._recipe.config(),
            recorder.code,
            recorder.machine,
        )

    def ended(self, run: Run, job: Job) -> str | None:
        """Note in the last checkpoint how the run ended, or remove it if there is nothing left to do; what to say."""
        if job.checkpoints is None:
            return None
        path, resume = job.checkpoints.path, job.resume
        try:
            if run.status in ANSWERS:
                checkpoint.remove(path)
                if resume is not None:
                    resume.remove()
                return None
            last = checkpoint.read(path) if path.exists() else resume
            if last is None:
                return None
            at_s = run.metrics.get("total_s") or time.monotonic() - job.origin_s
            paused_s = float(run.metrics.get("paused_s") or 0.0)
            last.ended(Ended(run.run_id, run.status, float(at_s), time.time(), paused_s))
        except (OSError, UsageError) as error:
            return f"Warning: its checkpoint cannot be used: {error}"
        return f"The same command with --resume goes on after epoch {last.values.epoch} of {last.values.epochs:g}"

    def _find(self, seed: int) -> Checkpoint | None:
        try:
            return checkpoint.find(self._recorder.results, self._cell, seed)
        except UsageError:
            if self._resume:
                raise
            return None

    def _others(self, seed: int) -> str:
        """A remark on the newest checkpoint of the recipe with other settings; empty if there is none."""
        others = list(checkpoint.of_other_cells(self._recorder.results, self._recorder.recipe, self._cell, seed))
        if not others:
            return ""
        newest = max(others, key=lambda one: one.values.run_id)
        differing = labels.differing([newest.values.config, self._recipe.config()])
        told = [f"{key} {labels.show(theirs)}, not {labels.show(ours)}" for key, (theirs, ours) in differing.items()]
        return f"; run {newest.values.run_id} has one with other settings: {'; '.join(told[:MOST_KEYS_TOLD])}"


def add_pauses(measured: Measured, job: Job) -> None:
    """Add to a run's metrics how long the part before its checkpoint was stopped from outside, if it was."""
    ended = job.resume.values.ended if job.resume else None
    if ended is not None and ended.paused_s:
        paused_s = ended.paused_s + float(measured.metrics.get("paused_s") or 0.0)
        measured.metrics = measured.metrics | {"paused_s": paused_s}
