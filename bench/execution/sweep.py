"""Carries out a plan: each run in its own process, recorded as soon as it ends."""

from __future__ import annotations

import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bench.execution.device_pool import Allotment
from bench.execution.executors.data import key_of
from bench.execution.executors.executor import Assignment, Executor, Place
from bench.execution.executors.local import Local
from bench.execution.following import RunFollower
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Lost, Measured, NotBegun, Refused
from bench.execution.recording import Attempt, Recorder
from bench.execution.runner import TICK_S, tail
from bench.runs.store import StoreError
from bench.spec import kept_nets, prices
from bench.spec.job import Job
from bench.spec.prices import Price
from bench.spec.sweep_plan import PlannedRun, SweepPlan
from bench.statistics.sampling import Bounds

# How often a run begins again after its host was lost. A run that ends its host each time is a crash.
MOST_LOSSES = 3


class View(Protocol):
    """Receives what happens during a sweep."""

    def begin(self, entry: PlannedRun) -> None: ...

    def take(self, entry: PlannedRun, event: dict[str, Any]) -> None: ...

    def end(self, entry: PlannedRun) -> None: ...


@dataclass
class ActiveRun:
    """A run in progress, and what belongs to it."""

    entry: PlannedRun
    attempt: Attempt
    place: Place
    follower: RunFollower


@dataclass
class Sweep:
    """Carries out a plan by an executor; each run is recorded as soon as it ends.

    One loop without threads follows all runs, so that signals, records and the view stay consistent.
    """

    plan: SweepPlan
    recorder: Recorder
    view: View
    device: str
    measure: str
    executor: Executor = field(default_factory=lambda: Local(Allotment(1)))
    sampling: Bounds = field(default_factory=Bounds)
    data_dir: Path | None = None
    timeout_s: float | None = None
    price: Price | None = None
    # Where commands run.
    root: Path = Path()
    # Which data the hosts must have (see `executors.data`); what is not known here is that of the first run. None asks
    # for none, because all runs are here.
    fingerprints: dict[str, str] | None = None

    def run(self) -> bool:
        """Run everything that is due; returns false if Ctrl-C left some of it.

        The first Ctrl-C lets the present runs finish. A second one, or a SIGTERM, ends them now; they are recorded as
        interrupted and run again later. A run whose host is lost is recorded as interrupted, and begins again on
        another one. Raises StoreError if a record cannot be stored, MissingError if workers cannot be started.
        """
        self._due = deque(entry for entry in self.plan.entries if entry.action in ("run", "skip"))
        self._losses: Counter[tuple[str, int]] = Counter()
        running: list[ActiveRun] = []
        with Interrupts(patience=1) as interrupts:
            try:
                while running or (self._due and not interrupts.count):
                    if not interrupts.count:
                        self._begin_what_fits(running, interrupts)
                    if running or self._due:
                        self.executor.wait([one.follower for one in running], TICK_S)
                    for one in running:
                        one.follower.advance()
                    for one in [one for one in running if one.follower.over]:
                        running.remove(one)
                        self._end(one)
            finally:
                for one in running:
                    if one.follower.over:  # at the same time as a run that could not be recorded
                        with suppress(StoreError):
                            self._end(one)
                    one.follower.close()
            return not (self._due or interrupts.stopping)

    def _begin_what_fits(self, running: list[ActiveRun], interrupts: Interrupts) -> None:
        """Start runs in order: a run that waits for devices is not overtaken."""
        while self._due and not interrupts.count:
            if self._due[0].action == "skip":
                entry = self._due.popleft()
                self._record(entry, Measured("skipped", entry.cell.skip))
                continue
            try:
                place = self.executor.take(self._due[0])
            except Refused as refusal:
                self._refuse(self._due.popleft(), refusal)
                continue
            if place is None:
                return
            running.append(self._begin(self._due.popleft(), place, interrupts))

    def _begin(self, entry: PlannedRun, place: Place, interrupts: Interrupts) -> ActiveRun:
        attempt = self.recorder.begin(entry.cell.recipe, self.measure)
        self.view.begin(entry)

        def tell(event: dict[str, Any]) -> None:
            self.view.take(entry, event)

        cell = entry.cell
        job = self._job(entry, attempt, place) if cell.command is None else None
        task = Assignment(entry, attempt, place, job, cell.command, self.root, self.device, self.timeout_s)
        return ActiveRun(entry, attempt, place, self.executor.start(task, tell, interrupts))

    def _job(self, entry: PlannedRun, attempt: Attempt, place: Place) -> Job:
        recipe = entry.cell.recipe
        assert recipe is not None  # a cell without a recipe or command is skipped
        return Job(
            recipe,
            entry.seed,
            self.device,
            self.data_dir,
            self.recorder.results / "cache",
            attempt.log,
            time.monotonic(),
            self.measure,
            self.sampling,
            place.share,
            nets=kept_nets.needed(recipe, self.measure, entry.cell.config),
            pictures=attempt.pictures,
            data_fingerprint=(self.fingerprints or {}).get(key_of(recipe.data)),
        )

    def _end(self, one: ActiveRun) -> None:
        self.executor.give_back(one.place)
        entry = one.entry
        try:
            measured = one.follower.result()
        except NotBegun:
            self.recorder.drop(one.attempt)
            self._due.appendleft(entry)
        except Lost as loss:
            self._record_loss(one, loss)
        except Refused as refusal:
            self._refuse(entry, refusal, self._attempt_of(one, refusal.facts))
        else:
            self._learn_data(entry, measured)
            self._record(entry, measured, self._attempt_of(one, measured.facts))
        self.view.end(entry)

    def _attempt_of(self, one: ActiveRun, facts: dict[str, Any]) -> Attempt:
        """The attempt as its host knows it; what was cut short before it is recorded now."""
        for cut in facts.pop("cut_short", ()):
            self._record(one.entry, cut, replace(self.recorder.begin(), **cut.facts.pop("attempt", {})))
        return replace(one.attempt, **facts.pop("attempt", {}))

    def _learn_data(self, entry: PlannedRun, measured: Measured) -> None:
        recipe, seen = entry.cell.recipe, measured.facts.get("data", {}).get("fingerprint")
        if self.fingerprints is not None and recipe is not None and seen is not None:
            self.fingerprints.setdefault(key_of(recipe.data), seen)

    def _refuse(self, entry: PlannedRun, refusal: Refused, attempt: Attempt | None = None) -> None:
        reason = "; ".join(line.strip() for line in str(refusal).splitlines())
        log_tail = tail(attempt.log) if attempt is not None else []
        self._record(entry, Measured("skipped", reason, facts=refusal.facts, log_tail=log_tail), attempt)

    def _record_loss(self, one: ActiveRun, loss: Lost) -> None:
        """A row of its own, with what was seen of the run; it is due again, before all others, unless it has ended too
        many hosts."""
        entry, seen = one.entry, loss.seen
        attempt = self._attempt_of(one, seen.facts)
        self._losses[entry.key] += 1
        seen.log_tail = tail(attempt.log)
        if self._losses[entry.key] > MOST_LOSSES:
            told = f"{loss}; it was lost {self._losses[entry.key]} times, so it does not run again by itself"
            self._record(entry, seen.ended_as("crashed", told), attempt)
            return
        self._record(entry, seen.ended_as("interrupted", f"{loss}; it runs again"), attempt)
        entry.action = "run"
        self._due.appendleft(entry)

    def _record(self, entry: PlannedRun, measured: Measured, attempt: Attempt | None = None) -> None:
        cell = entry.cell
        price = self.price
        if price is None and cell.recipe is not None:
            price = prices.choose(None, ("recipe", cell.recipe.price_per_hour))
        run = self.recorder.record(
            attempt or self.recorder.begin(),
            measured,
            cell=cell.id,
            config=cell.config,
            seed=entry.seed,
            measure=self.measure,
            price_per_hour=price.usd_per_hour if price else None,
            price_source=price.source if price else None,
        )
        self.plan.ran(entry, run)
