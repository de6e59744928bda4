"""A sweep: what of a matrix is known, what is still to be run, and running it, each run in a process of its own."""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, Protocol

from bench import prices
from bench.allotment import Allotment, Share
from bench.errors import UsageError
from bench.interrupts import Interrupts
from bench.matrix import Cell
from bench.prices import Price
from bench.recording import Attempt, Recorder
from bench.run import FINISHED, STATUSES, Run
from bench.runner import TICK_S, Follower, Measured, Refused, tail, warm_up_fork_server
from bench.sampling import Bounds
from bench.worker import Job

# What says something of the cell; `interrupted` says nothing at all, and everything else is a failure.
ANSWERS = (*FINISHED, "diverged")
FAILURES = tuple(status for status in STATUSES if status not in (*ANSWERS, "interrupted"))

Action = Literal["done", "run", "skip", "later"]


@dataclass
class Entry:
    """One cell with one seed, and the newest run of it that counts.

    What is to come of it now: nothing (`done`), a run, a record of why there can be none (`skip`), or nothing
    yet because of a limit (`later`). `expected_s` is the mean of the cell's earlier runs on this machine.
    """

    cell: Cell
    seed: int
    run: Run | None
    action: Action
    expected_s: float | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.cell.id, self.seed

    @property
    def devices(self) -> int:
        return self.cell.recipe.device_count if self.cell.recipe is not None else 1


@dataclass
class Plan:
    """All entries in the order of running, and what should be said before."""

    entries: list[Entry]
    notes: list[str] = field(default_factory=list)

    @property
    def actions(self) -> Counter[str]:
        return Counter(entry.action for entry in self.entries)

    @property
    def cells(self) -> list[Cell]:
        return list({entry.cell.id: entry.cell for entry in self.entries}.values())

    @property
    def left_s(self) -> float | None:
        """Expected seconds of the runs to come; a cell that never ran counts as the mean, None if none ever ran."""
        due = [entry.expected_s for entry in self.entries if entry.action == "run"]
        known = [entry.expected_s for entry in self.entries if entry.expected_s is not None]
        if not due:
            return 0.0
        return sum(fmean(known) if one is None else one for one in due) if known else None

    def ran(self, entry: Entry, run: Run) -> None:
        """Take note of an entry's record."""
        entry.run, entry.action = run, "done"
        if (total_s := _total_s(run)) is not None:
            for other in self.entries:
                if other.cell.id == run.cell:
                    other.expected_s = total_s


def plan(
    pairs: Sequence[tuple[Cell, int]],
    runs: Iterable[Run],
    *,
    machine_id: str,
    sources_sha256: str,
    rerun: str | None = None,
    resume: bool = False,
    limit: int | None = None,
    most_neighbours: int | None = None,
) -> Plan:
    """What to do for each cell and seed, given the store's `runs`.

    A run counts if it was made on this machine and not interrupted; with `resume`, if these sources made it
    too; and if no more than `most_neighbours` others could disturb it, None being any number of them. `rerun`
    is `failed`, `all` or the beginning of a cell's id. At most `limit` runs are made.
    """
    wanted = {(cell.id, seed) for cell, seed in pairs}
    here: list[Run] = []
    newest: dict[tuple[str, int], Run] = {}
    elsewhere = disturbed = 0
    for run in runs:
        key = run.cell, run.seed
        if run.machine.get("id") != machine_id:
            elsewhere += key in wanted
            continue
        if most_neighbours is not None and _neighbours(run) > most_neighbours:
            disturbed += key in wanted
            continue
        here.append(run)
        counts = run.status != "interrupted" and not (resume and run.code.get("sources_sha256") != sources_sha256)
        # Run ids sort by time, which the lines of a merged file need not.
        if key in wanted and counts and (key not in newest or newest[key].run_id < run.run_id):
            newest[key] = run
    durations = _durations(here)
    made, count = Plan([]), 0
    for cell, seed in pairs:
        known = newest.get((cell.id, seed))
        action = _action(cell, known, rerun)
        if action == "run":
            count += 1
            action = "later" if limit is not None and count > limit else "run"
        made.entries.append(Entry(cell, seed, known, action, durations.get(cell.id)))
    if disturbed:
        made.notes.append(
            f"{disturbed} runs of these cells shared the cores with others (--jobs) and do not count here"
        )
    made.notes += _notes(made, elsewhere, sources_sha256)
    return made


class View(Protocol):
    """What a sweep tells while it goes on."""

    def begin(self, entry: Entry) -> None: ...

    def take(self, entry: Entry, event: dict[str, Any]) -> None: ...

    def end(self, entry: Entry) -> None: ...


@dataclass
class Running:
    """A run that goes on, and what it holds."""

    entry: Entry
    attempt: Attempt
    share: Share
    follower: Follower


@dataclass
class Sweep:
    """Carries a plan out, as many runs at once as `allotment` has room for; a record is kept as soon as its run ends.

    One loop follows all workers, and no thread does, so that signals, records and the view are never at odds.
    """

    plan: Plan
    recorder: Recorder
    view: View
    device: str
    measure: str
    allotment: Allotment = field(default_factory=lambda: Allotment(1))
    sampling: Bounds = field(default_factory=Bounds)
    data_dir: Path | None = None
    timeout_s: float | None = None
    price: Price | None = None

    def run(self) -> bool:
        """Run all that is due; false where Ctrl-C ended it.

        The first Ctrl-C lets the present runs finish, the second one, and a SIGTERM, ends them now; they are
        recorded as interrupted, and so are to be run again. Raises StoreError where a record cannot be kept,
        MissingError where workers cannot be started at all.
        """
        due = deque(entry for entry in self.plan.entries if entry.action in ("run", "skip"))
        running: list[Running] = []
        with Interrupts(patience=1) as interrupts:
            if self.plan.actions["run"]:
                warm_up_fork_server()
            try:
                while running or (due and not interrupts.count):
                    if not interrupts.count:
                        self._begin_what_fits(due, running, interrupts)
                    if running:
                        wait([source for one in running for source in one.follower.sources], TICK_S)
                    for one in running:
                        one.follower.advance()
                    for one in [one for one in running if one.follower.over]:
                        running.remove(one)
                        self._end(one)
            finally:
                for one in running:
                    one.follower.close()
            return not interrupts.count

    def _begin_what_fits(self, due: deque[Entry], running: list[Running], interrupts: Interrupts) -> None:
        """In order: a run that has to wait for its devices is not overtaken."""
        while due and not interrupts.count:
            if due[0].action == "skip":
                entry = due.popleft()
                self._record(entry, Measured("skipped", entry.cell.skip))
            elif (share := self.allotment.take(due[0].devices)) is not None:
                running.append(self._begin(due.popleft(), share, interrupts))
            else:
                return

    def _begin(self, entry: Entry, share: Share, interrupts: Interrupts) -> Running:
        recipe = entry.cell.recipe
        assert recipe is not None  # a cell without one is skipped
        attempt = self.recorder.begin()
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
        )
        self.view.begin(entry)

        def tell(event: dict[str, Any]) -> None:
            self.view.take(entry, event)

        return Running(entry, attempt, share, Follower(job, tell, "forkserver", self.timeout_s, interrupts))

    def _end(self, one: Running) -> None:
        self.allotment.give_back(one.share)
        try:
            measured = one.follower.result()
        except Refused as refusal:
            measured = Measured("skipped", "; ".join(str(refusal).splitlines()), log_tail=tail(one.attempt.log))
        self._record(one.entry, measured, one.attempt)
        self.view.end(one.entry)

    def _record(self, entry: Entry, measured: Measured, attempt: Attempt | None = None) -> None:
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


def check_rerun(rerun: str | None, pairs: Sequence[tuple[Cell, int]]) -> None:
    """Raises `UsageError` for what is neither `failed` nor `all` nor the beginning of a cell's id."""
    if rerun is None or rerun in ("all", "failed"):
        return
    if not re.fullmatch("[0-9a-f]{4,16}", rerun) or not any(cell.id.startswith(rerun) for cell, _ in pairs):
        raise UsageError(
            f"--rerun {rerun}: give failed, all, or the id of a cell, of which the first four digits are enough; "
            "--dry-run lists the cells with their ids"
        )


def _action(cell: Cell, known: Run | None, rerun: str | None) -> Action:
    if cell.skip is not None:
        said = known is not None and (known.status, known.reason) == ("skipped", cell.skip)
        return "done" if said else "skip"
    if known is None:
        return "run"
    if rerun is None or rerun == "failed":
        return "run" if rerun and known.status in FAILURES else "done"
    return "run" if rerun == "all" or cell.id.startswith(rerun) else "done"


def _durations(runs: Iterable[Run]) -> dict[str, float]:
    """Mean seconds of a run of each cell."""
    seconds: dict[str, list[float]] = {}
    for run in runs:
        if (total_s := _total_s(run)) is not None:
            seconds.setdefault(run.cell, []).append(total_s)
    return {cell: fmean(each) for cell, each in seconds.items()}


def _neighbours(run: Run) -> int:
    """How many others could go on beside it."""
    return int((run.config.get("resolved") or {}).get("neighbours") or 0)


def _total_s(run: Run) -> float | None:
    """How long a run took that went to its end."""
    total_s = run.metrics.get("total_s") if run.status in FINISHED else None
    return None if total_s is None else float(total_s)


def _notes(made: Plan, elsewhere: int, sources_sha256: str) -> list[str]:
    notes = []
    done = [entry.run for entry in made.entries if entry.action == "done" and entry.run is not None]
    others = sum(run.code.get("sources_sha256") != sources_sha256 for run in done)
    if others:
        notes.append(
            f"{others} of the {len(done)} finished runs were made by other sources than the present ones; "
            "with --resume they do not count"
        )
    if elsewhere:
        notes.append(f"{elsewhere} runs of these cells were made on another machine and do not count here")
    for cell in made.cells:
        if cell.merged:
            notes.append(f"the same cell stands {len(cell.merged) + 1} times and runs once: {cell.label}")
    return notes
