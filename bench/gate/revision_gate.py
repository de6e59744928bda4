"""Measures base and head of a repository until it is known whether head is worse, and why."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.errors import BenchError, UsageError
from bench.gate import cause, confirmation, history
from bench.gate.agent_process import CHANGED, AgentFailed
from bench.gate.compare import Limits
from bench.gate.kept_pairs import KeptPairs
from bench.gate.paired_cell import CellAddress, PairedCell
from bench.gate.paired_comparison import ROUNDS, Arm, PairedComparison
from bench.gate.report import GateFinding, Report
from bench.gate.subject import Sides, Subject
from bench.gate.verdict import LEAST_ROUNDS, Judgement
from bench.host.git import SHORT_COMMIT
from bench.runs.store import Store

# The approximate time limit of profiling, and how often each side is profiled at most.
PROFILING_S = 60.0
MOST_PROFILES = 3
# Whose training steps, or commands, can be profiled.
PROFILED = ("command", "throughput", "time_to_accuracy")


@dataclass
class Watcher:
    """Receives events: messages, decided cells, starting runs."""

    say: Callable[[str], None] = lambda _line: None
    decided: Callable[[PairedCell, Sequence[Judgement]], None] = lambda _cell, _found: None
    running: Callable[[PairedCell, str, int], None] = lambda _cell, _arm, _round: None


@dataclass
class RevisionGate:
    """One comparison. `matrices` are the files that say what is measured; records and logs go to `folder`.

    The budget is for measuring; checking out, preparing and confirming a slow-down come on top. With `precise` all
    rounds are made that it has room for, also of what is decided, because the ratios themselves are wanted.
    """

    subject: Subject
    matrices: Sequence[Path]
    machine: Mapping[str, Any]
    device: str
    folder: Path
    limits: Limits = field(default_factory=Limits)
    budget_s: float = 300.0
    rounds: int = ROUNDS
    data: Path | None = None
    fresh: bool = False
    precise: bool = False
    command: str = ""
    watcher: Watcher = field(default_factory=Watcher)
    sides: Sides | None = None

    def measure(self) -> Report:
        """Raises UsageError, MissingError for a base that cannot run, BenchError if a process of a side ends."""
        with ExitStack() as open_sides:
            sides = self.sides = self.subject.open(0, open_sides)
            if self.precise:
                check_notable(sides)
            kept = self._kept(sides)
            if self.fresh:
                kept.forget()
            other_plans = kept.other_plans()
            if other_plans:
                self.watcher.say(_told_to_go_on(other_plans, self.rounds))
            began_s = time.monotonic()
            comparison = self._comparison(sides, sides.cells, self.rounds, kept.store())
            resumed = comparison.resume()
            self._run(comparison, began_s + self.budget_s)
            findings = comparison.findings()
            suspects = confirmation.slower(findings)
            spent_s = time.monotonic() - began_s
        if suspects:
            findings = self._confirm(
                findings, suspects, max(self.budget_s - spent_s, self.budget_s * confirmation.SHARE)
            )
        self.subject.check_unchanged()
        return Report(
            self.subject.base,
            self.subject.head,
            findings,
            [*sides.notes, *self._notes(comparison, resumed, other_plans)],
            self.machine,
            seconds=time.monotonic() - began_s,
            rounds=max((len(paired_cell.pairs) for paired_cell in sides.cells), default=0),
        )

    def figures(self) -> list[history.Figure]:
        """The measured ratios for the history, of quantities with enough rounds for a standard error."""
        assert self.sides is not None
        return [
            history.figure_of(paired_cell.label, paired_cell.head.judged_as, case)
            for paired_cell in self.sides.cells
            for case in paired_cell.cases(self.limits, self.rounds)
            if len(case.base) >= LEAST_ROUNDS
        ]

    def _comparison(self, sides: Sides, paired_cells: list[PairedCell], rounds: int, store: Store) -> PairedComparison:
        return PairedComparison(
            paired_cells,
            sides.base,
            sides.head,
            store,
            self.limits,
            self.device,
            self.folder,
            self.data,
            rounds,
            self.command,
            self.watcher.decided,
            self.watcher.running,
            precise=self.precise,
        )

    def _run(self, comparison: PairedComparison, deadline_s: float) -> None:
        try:
            comparison.run(deadline_s)
        except AgentFailed as error:
            raise BenchError(f"measuring ended: {error}") from None
        except KeyboardInterrupt:
            count = sum(len(paired_cell.pairs) for paired_cell in comparison.cells)
            told = f"{count} pair{'' if count == 1 else 's'} of runs"
            self.watcher.say(f"Stopped after {told}; the same command goes on from there")
            raise

    def _confirm(
        self, findings: list[GateFinding], suspects: Sequence[GateFinding], budget_s: float
    ) -> list[GateFinding]:
        """The findings after measuring slower ones in a second checkout and looking for causes."""
        cells = sorted({one.cell for one in suspects})
        self.watcher.say(f"Confirming in a second checkout at another path: {'; '.join(cells)}")
        with ExitStack() as open_sides:
            sides = self.subject.open(1, open_sides)
            assert self.sides is not None
            if sides.key != self.sides.key:  # the second checkout would confirm something about other code
                raise UsageError(CHANGED)
            judged = {
                cell: [one.judgement.quantity.metric for one in suspects if one.judgement and one.cell == cell]
                for cell in cells
            }
            paired_cells = [replace(one, judged=judged[one.label]) for one in sides.cells if one.label in cells]
            rounds = confirmation.rounds_for(suspects)
            comparison = self._comparison(sides, paired_cells, rounds, self._kept(sides).confirming(rounds))
            comparison.resume()
            self._run(comparison, time.monotonic() + budget_s)
            settled = confirmation.confirmed(findings, comparison.findings())
            return self._with_causes(settled, sides, paired_cells)

    def _with_causes(
        self, findings: Sequence[GateFinding], sides: Sides, paired_cells: Sequence[PairedCell]
    ) -> list[GateFinding]:
        """The findings, with causes for slower ones: both sides are profiled while they exist."""
        found: dict[str, list[cause.Part]] = {}
        slower = confirmation.slower(findings)
        for cell in sorted({one.cell for one in slower}):
            paired_cell = next(paired_cell for paired_cell in paired_cells if paired_cell.label == cell)
            self.watcher.say(f"Profiling both sides: {cell}")
            found[cell] = [*cause.of_spans(paired_cell.pairs), *self._profiled(paired_cell, sides)]
        return [replace(one, cause=found[one.cell]) if one in slower else one for one in findings]

    def _profiled(self, paired_cell: PairedCell, sides: Sides) -> list[cause.Part]:
        """The operators or functions that explain the difference; empty if a side cannot be profiled."""
        assert paired_cell.base is not None
        if paired_cell.head.judged_as not in PROFILED:
            return []
        run_s = max((run.metrics.get("wall_s") or 0.0 for pair in paired_cell.pairs for run in pair), default=0.0)
        times = min(max(int(PROFILING_S / (2 * run_s)) if run_s else MOST_PROFILES, 1), MOST_PROFILES)
        base, head = [], []
        try:
            for _ in range(times):
                base.append(self._profile(sides.base, paired_cell.base))
                head.append(self._profile(sides.head, paired_cell.head))
        except AgentFailed:
            return []  # such as a base whose agent is older
        of_base, of_head = (cause.least([one["seconds"] for one in side]) for side in (base, head))
        return cause.explain(head[-1]["kind"], of_base, of_head)

    def _profile(self, arm: Arm, place: CellAddress) -> dict[str, Any]:
        told: dict[str, Any] = arm.agent.ask(
            "profile",
            matrix=place.matrix,
            cell=place.cell,
            device=self.device,
            data=None if self.data is None else str(self.data),
            cache=str(self.folder.parent / "cache"),
        )
        return told

    def _kept(self, sides: Sides) -> KeptPairs:
        """The pairs of earlier calls, by what must be equal for calls whose pairs may be counted together."""
        facts = {
            **sides.key,
            "machine": self.machine["id"],
            "matrices": [hashlib.sha256(path.read_bytes()).hexdigest() for path in self.matrices],
            "device": self.device,
            "data": [None if self.data is None else str(self.data), os.environ.get("BENCH_DATA")],
            # Pairs from before each round had its own start are not independent.
            "starts": "a round",
        }
        return KeptPairs(self.folder, facts, self.rounds)

    def _notes(self, comparison: PairedComparison, resumed: int, other_plans: Sequence[int]) -> list[str]:
        notes = []
        if other_plans:
            notes.append(
                f"an earlier test of the same sources was planned for {_counted(other_plans)} rounds, and its pairs do "
                f"not count in this one of {self.rounds}: each test alone calls at most "
                f"{100 * self.limits.false_alarms:g} % of equal code different, and together they call more"
            )
        if resumed:
            notes.append(f"{resumed} pairs of runs are those of an earlier call; --fresh measures all anew")
        notes += [told for paired_cell in comparison.cells for told in paired_cell.other_data()]
        notes += comparison.contended()
        notes += comparison.noise_warnings()
        if (drift := comparison.drift()) is not None:
            notes.append(drift)
        return notes


def _told_to_go_on(other_plans: Sequence[int], rounds: int) -> str:
    return (
        f"Measuring {rounds} new rounds: pairs of a test that was planned for {_counted(other_plans)} do not count in "
        f"one of {rounds}; --rounds {other_plans[-1]} goes on with them"
    )


def _counted(plans: Sequence[int]) -> str:
    return " or ".join(map(str, plans))


def check_notable(sides: Sides) -> None:
    """Raises UsageError unless the sides are two commits, which a note requires."""
    base, head = sides.base.code, sides.head.code
    if head.get("dirty") or not head.get("commit"):
        raise UsageError("--note: a note belongs to a commit, and head has changes that are not committed; commit them")
    if base.get("commit") == head["commit"]:
        raise UsageError(f"--note: base and head are one commit, {head['commit'][:SHORT_COMMIT]}; name an older --base")


def note(top: Path, gate: RevisionGate) -> int:
    """Store the measurements in the notes of head; returns the number of figures. Without figures there is no note.

    Raises UsageError if git refuses it.
    """
    assert gate.sides is not None
    base, head = gate.sides.base.code["commit"], gate.sides.head.code["commit"]
    figures = gate.figures()
    if figures:
        history.write(top, history.entry_of(base, head, str(gate.machine["id"]), figures))
    return len(figures)
