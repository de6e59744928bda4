"""The plan of a sweep: which of its runs are known from the store, and which are still due."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from bench.errors import UsageError
from bench.runs.run import FINISHED, INVALID, STATUSES, Run
from bench.spec.matrix import Cell

# Statuses that say something about the cell; `interrupted` says nothing, and all others are failures.
ANSWERS = (*FINISHED, "diverged")
FAILURES = tuple(status for status in STATUSES if status not in (*ANSWERS, "interrupted"))

Action = Literal["done", "run", "skip", "later"]


@dataclass
class PlannedRun:
    """One cell with one seed, and its newest run that counts.

    Its action is nothing (`done`), a run, a record of why it cannot run (`skip`), or nothing yet because of a limit
    (`later`). `expected_s` is the mean of the cell's earlier runs on this machine.
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

    @property
    def nodes(self) -> int:
        """The hosts that share its devices."""
        return self.cell.recipe.node_count if self.cell.recipe is not None else 1


@dataclass
class SweepPlan:
    """All entries in running order, and remarks to print before."""

    entries: list[PlannedRun]
    notes: list[str] = field(default_factory=list)

    @property
    def actions(self) -> Counter[str]:
        return Counter(entry.action for entry in self.entries)

    @property
    def cells(self) -> list[Cell]:
        return list({entry.cell.id: entry.cell for entry in self.entries}.values())

    @property
    def left_s(self) -> float | None:
        """Expected seconds of the due runs; a cell that never ran counts as the mean; None if none ever ran."""
        due = [entry.expected_s for entry in self.entries if entry.action == "run"]
        known = [entry.expected_s for entry in self.entries if entry.expected_s is not None]
        if not due:
            return 0.0
        return sum(fmean(known) if one is None else one for one in due) if known else None

    def ran(self, entry: PlannedRun, run: Run) -> None:
        """Set an entry's record."""
        entry.run, entry.action = run, "done"
        if (total_s := _total_s(run)) is not None:
            for other in self.entries:
                if other.cell.id == run.cell:
                    other.expected_s = total_s


def plan(
    pairs: Sequence[tuple[Cell, int]],
    runs: Iterable[Run],
    *,
    machine_ids: Collection[str] | None,
    sources_sha256: str,
    rerun: str | None = None,
    resume: bool = False,
    limit: int | None = None,
    most_neighbours: int | None = None,
    host: str | None = None,
) -> SweepPlan:
    """The plan for each cell and seed, given the store's `runs`.

    A run counts if it was made on one of these machines (None: on any; with `host`, on this very host), and was neither
    interrupted nor declared invalid. A skipped one counts while its reason holds. With `resume` a run must also be made
    by the present sources. At most `most_neighbours` other runs may have been active at the same time (None: any
    number). `rerun` is `failed`, `all` or the beginning of a cell's id. At most `limit` runs are made.
    """
    wanted = {(cell.id, seed) for cell, seed in pairs}
    here: list[Run] = []
    newest: dict[tuple[str, int], Run] = {}
    elsewhere = disturbed = 0
    for run in runs:
        key = run.cell, run.seed
        is_here = machine_ids is None or run.machine.get("id") in machine_ids
        if not is_here or host not in (None, run.machine.get("host")):
            elsewhere += key in wanted
            continue
        if most_neighbours is not None and _neighbours(run) > most_neighbours:
            disturbed += key in wanted
            continue
        here.append(run)
        answers = run.status not in ("interrupted", INVALID)
        counts = answers and not (resume and run.code.get("sources_sha256") != sources_sha256)
        # Run ids sort by time; lines of merged files may not.
        if key in wanted and counts and (key not in newest or newest[key].run_id < run.run_id):
            newest[key] = run
    durations = _durations(here)
    made, count = SweepPlan([]), 0
    for cell, seed in pairs:
        known = newest.get((cell.id, seed))
        action = _action(cell, known, rerun)
        if action == "run":
            count += 1
            action = "later" if limit is not None and count > limit else "run"
        made.entries.append(PlannedRun(cell, seed, known, action, durations.get(cell.id)))
    if disturbed:
        made.notes.append(
            f"not counted here: {disturbed} of the runs of these cells, which shared the cores with others (--jobs)"
        )
    made.notes += _notes(made, elsewhere, sources_sha256)
    return made


def check_rerun(rerun: str | None, pairs: Sequence[tuple[Cell, int]]) -> None:
    """Raises `UsageError` unless it is `failed`, `all` or the beginning of a cell's id."""
    if rerun is None or rerun in ("all", "failed"):
        return
    if not re.fullmatch("[0-9a-f]{4,16}", rerun) or not any(cell.id.startswith(rerun) for cell, _ in pairs):
        raise UsageError(
            f"--rerun {rerun}: give failed, all, or the id of a cell, of which the first four digits are enough; "
            "--dry-run lists the cells with their ids"
        )


def _action(cell: Cell, known: Run | None, rerun: str | None) -> Action:
    if cell.skip is not None:
        # A measured cell stays measured even if some of its devices are busy today.
        says_more = known is not None and (known.status in ANSWERS or known.reason == cell.skip)
        return "done" if says_more else "skip"
    # Without a log, no worker started it, for a reason that no longer holds.
    if known is None or (known.status == "skipped" and known.log is None):
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
    """How many other runs could be active at the same time."""
    return int((run.config.get("resolved") or {}).get("neighbours") or 0)


def _total_s(run: Run) -> float | None:
    """The duration of a completed run."""
    total_s = run.metrics.get("total_s") if run.status in FINISHED else None
    return None if total_s is None else float(total_s)


def _notes(made: SweepPlan, elsewhere: int, sources_sha256: str) -> list[str]:
    notes = []
    done = [entry.run for entry in made.entries if entry.action == "done" and entry.run is not None]
    others = sum(run.code.get("sources_sha256") != sources_sha256 for run in done)
    if others:
        notes.append(
            f"{others} of the {len(done)} finished runs were made by other sources than the present ones; "
            "with --resume they do not count"
        )
    if elsewhere:
        notes.append(f"not counted here: {elsewhere} of the runs of these cells, made on another machine")
    for cell in made.cells:
        if cell.merged:
            notes.append(f"the same cell stands {len(cell.merged) + 1} times and runs once: {cell.label}")
    return notes
