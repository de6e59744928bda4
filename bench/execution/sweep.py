"""Carries out a plan: each run in its own process, recorded as soon as it ends."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol

from bench.errors import UsageError
from bench.execution.device_pool import Allotment
from bench.execution.following import RunFollower
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Measured, Refused
from bench.execution.recording import Attempt, Recorder
from bench.execution.runner import TICK_S, Follower, renew_fork_server, tail, warm_up_fork_server
from bench.execution.script import OnEvent, ScriptFollower
from bench.host.share import Share
from bench.runs.store import StoreError
from bench.spec import kept_nets, prices
from bench.spec.job import Job
from bench.spec.prices import Price
from bench.spec.sweep_plan import PlannedRun, SweepPlan
from bench.statistics.sampling import Bounds


class View(Protocol):
    """Receives what happens during a sweep."""

    def begin(self, entry: PlannedRun) -> None: ...

    def take(self, entry: PlannedRun, event: dict[str, Any]) -> None: ...

    def end(self, entry: PlannedRun) -> None: ...


@dataclass(frozen=True)
class NotStarted:
    """In the place of the follower of a command that could not be started."""

    reason: str
    over: bool = True
    sources: tuple[Any, ...] = ()

    def advance(self) -> None:
        """There is nothing to go on."""

    def close(self) -> None:
        """There is nothing to end."""

    def result(self) -> Measured:
        raise Refused(self.reason, UsageError.exit_code)


@dataclass
class ActiveRun:
    """A run in progress, and what belongs to it."""

    entry: PlannedRun
    attempt: Attempt
    share: Share
    follower: RunFollower


# The largest share of a sweep's time for new starts.
RENEWAL_SHARE = 0.05


class Starts:
    """The fork server of a sweep's workers.

    Runs of one server are not independent measurements of time and memory (see `bench.host.start`). Repeats of a cell
    with other seeds therefore get a new server if that costs little and no present run needs the old one.
    """

    def __init__(self) -> None:
        self._seed: int | None = None
        self._begin(warm_up_fork_server)

    def before(self, entry: PlannedRun, running: Sequence[ActiveRun]) -> None:
        """Renew it before the first run of another seed. Raises MissingError."""
        is_other = self._seed is not None and entry.seed != self._seed
        if is_other and not running and self._took_s <= RENEWAL_SHARE * (time.monotonic() - self._began_s):
            self._begin(renew_fork_server)
        self._seed = entry.seed

    def _begin(self, make: Callable[[], None]) -> None:
        began_s = time.monotonic()
        make()
        self._began_s = time.monotonic()
        self._took_s = self._began_s - began_s


@dataclass
class Sweep:
    """Carries out a plan with as many concurrent runs as `allotment` allows; each run is recorded as soon as it ends.

    One loop without threads follows all workers, so that signals, records and the view stay consistent.
    """

    plan: SweepPlan
    recorder: Recorder
    view: View
    device: str
    measure: str
    allotment: Allotment = field(default_factory=lambda: Allotment(1))
    sampling: Bounds = field(default_factory=Bounds)
    data_dir: Path | None = None
    timeout_s: float | None = None
    price: Price | None = None
    # Where commands run.
    root: Path = Path()

    def run(self) -> bool:
        """Run everything that is due; returns false if Ctrl-C left some of it.

        The first Ctrl-C lets the present runs finish. A second one, or a SIGTERM, ends them now; they are recorded as
        interrupted and run again later. Raises StoreError if a record cannot be stored, MissingError if workers cannot
        be started.
        """
        due = deque(entry for entry in self.plan.entries if entry.action in ("run", "skip"))
        running: list[ActiveRun] = []
        with Interrupts(patience=1) as interrupts:
            starts = Starts() if any(e.action == "run" and e.cell.recipe is not None for e in due) else None
            try:
                while running or (due and not interrupts.count):
                    if not interrupts.count:
                        self._begin_what_fits(due, running, interrupts, starts)
                    if running:
                        wait([source for one in running for source in one.follower.sources], TICK_S)
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
            return not (due or interrupts.stopping)

    def _begin_what_fits(
        self, due: deque[PlannedRun], running: list[ActiveRun], interrupts: Interrupts, starts: Starts | None
    ) -> None:
        """Start runs in order: a run that waits for devices is not overtaken."""
        while due and not interrupts.count:
            if due[0].action == "skip":
                entry = due.popleft()
                self._record(entry, Measured("skipped", entry.cell.skip))
            elif (share := self.allotment.take(due[0].devices)) is not None:
                if starts is not None:
                    starts.before(due[0], running)
                running.append(self._begin(due.popleft(), share, interrupts))
            else:
                return

    def _begin(self, entry: PlannedRun, share: Share, interrupts: Interrupts) -> ActiveRun:
        attempt = self.recorder.begin(entry.cell.recipe, self.measure)
        self.view.begin(entry)

        def tell(event: dict[str, Any]) -> None:
            self.view.take(entry, event)

        if entry.cell.command is not None:
            return ActiveRun(entry, attempt, share, self._follow_script(entry, attempt, share, tell, interrupts))
        recipe = entry.cell.recipe
        assert recipe is not None  # a cell without a recipe or command is skipped
        job = Job(
            recipe,
            entry.seed,
            self.device,
            self.data_dir,
            self.recorder.results / "cache",
            attempt.log,
            time.monotonic(),
            self.measure,
            self.sampling,
            share,
            nets=kept_nets.needed(recipe.task, entry.cell.config) if self.measure == "time_to_accuracy" else {},
            pictures=attempt.pictures,
        )
        return ActiveRun(entry, attempt, share, Follower(job, tell, "forkserver", self.timeout_s, interrupts))

    def _follow_script(
        self, entry: PlannedRun, attempt: Attempt, share: Share, tell: OnEvent, interrupts: Interrupts
    ) -> ScriptFollower | NotStarted:
        command = entry.cell.command
        assert command is not None
        command = command.model_copy(update={"timeout_s": command.timeout_s or self.timeout_s})
        try:
            return ScriptFollower(command, entry.seed, self.root, attempt.log, tell, interrupts, self.device, share)
        except UsageError as error:
            return NotStarted(str(error))

    def _end(self, one: ActiveRun) -> None:
        self.allotment.give_back(one.share)
        try:
            measured = one.follower.result()
        except Refused as refusal:
            reason = "; ".join(line.strip() for line in str(refusal).splitlines())
            measured = Measured("skipped", reason, log_tail=tail(one.attempt.log))
        self._record(one.entry, measured, one.attempt)
        self.view.end(one.entry)

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
