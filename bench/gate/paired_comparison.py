"""Measures two trees in turns, A B B A …, until every cell is decided or hopeless, or time is up.

Each round restarts both trees, and each run is a new process of its tree's start. Properties that a start fixes, such
as memory layout, therefore differ between pairs, so pairs are independent and n counts starts. "Rigorous benchmarking
in reasonable time" (Kalibera and Jones, ISMM 2013) gives the reasons.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.gate import noise
from bench.gate.agent_process import AgentFailed, Measurer, renew
from bench.gate.compare import Limits
from bench.gate.drift import TOLD, between
from bench.gate.forecast import HOPELESS, chance_to_decide
from bench.gate.paired_cell import CellAddress, PairedCell
from bench.gate.report import GateFinding
from bench.gate.verdict import Judgement, Verdict, judge
from bench.runs.disturbed import disturbed
from bench.runs.run import FINISHED, Run, new_run_id
from bench.runs.slow_hosts import Reference
from bench.runs.store import Store

ROUNDS = 30
# The reference kernels take up to a second, which should be a small share of the time.
REFERENCE_EVERY_S = 10.0


@dataclass
class Arm:
    """One side: its agent, and its identity in records."""

    name: str
    agent: Measurer
    code: dict[str, Any]
    machine: dict[str, Any]


@dataclass
class PairedComparison:
    """Measures the cells round by round; each pair is recorded in `store` before it counts.

    With `precise` it goes on to the last round, even if a cell is decided or hopeless.
    """

    cells: Sequence[PairedCell]
    base: Arm
    head: Arm
    store: Store
    limits: Limits
    device: str
    folder: Path
    data: Path | None = None
    rounds: int = ROUNDS
    command: str = ""
    on_decided: Callable[[PairedCell, Sequence[Judgement]], None] = lambda _cell, _found: None
    on_run: Callable[[PairedCell, str, int], None] = lambda _cell, _arm, _round: None
    precise: bool = False
    references: list[Reference] = field(default_factory=list)
    _next_reference_s: float = -math.inf
    _start: str = ""

    def resume(self) -> int:
        """Load the pairs that an earlier call recorded; returns their number."""
        by_key = {cell.key: cell for cell in self.cells}
        halves: dict[tuple[str, str, int], dict[str, Run]] = {}
        for run in self.store.read():
            gate = run.config["resolved"]["gate"]
            self.references += [gate["reference"]] if gate["reference"] else []
            halves.setdefault((gate["matrix"], gate["cell"], gate["round"]), {})[gate["arm"]] = run
        taken = 0
        for (matrix, name, _), pair in sorted(halves.items(), key=lambda item: item[0]):
            cell = by_key.get((matrix, name))
            # A failure may have been a lack of disk space or memory, so it is tried again.
            if len(pair) == 2 and cell is not None and all(run.status in FINISHED for run in pair.values()):
                cell.add(pair["base"], pair["head"])
                taken += 1
        if taken:
            self._judge()
        return taken

    def run(self, deadline_s: float, now: Callable[[], float] = time.monotonic) -> None:
        """Measure until everything is decided, `rounds` are done, nothing more can be decided, or the next pair would
        miss the deadline."""
        took: dict[tuple[str, str], list[float]] = {cell.key: [] for cell in self.cells}
        renewals_s: list[float] = []

        def fits(cell: PairedCell, before_s: float = 0.0) -> bool:
            return now() + before_s + max(took[cell.key], default=0.0) < deadline_s

        while due := [cell for cell in self.cells if cell.open and len(cell.pairs) < self.rounds]:
            if not any(fits(cell, max(renewals_s, default=0.0)) for cell in due):
                return
            began_s = now()
            # Alternate which side starts first, to favour neither.
            renew([self.base.agent, self.head.agent][:: -1 if len(due[0].pairs) % 2 else 1])
            self._start = new_run_id()
            renewals_s.append(now() - began_s)
            reference = self._reference(now())
            for cell in due:
                if fits(cell):
                    began_s = now()
                    self._pair(cell, reference)
                    reference = None
                    took[cell.key].append(now() - began_s)
            self._judge()
            self._give_up(deadline_s - now(), median(renewals_s), took)

    def findings(self) -> list[GateFinding]:
        """The findings so far of every cell."""
        judged = self._judgements()
        return [finding for cell in self.cells for finding in cell.findings(judged[cell.key], self.limits)]

    def drift(self) -> str | None:
        """The drift of the reference kernels from the first rounds to the last, if it is large enough to report."""
        third = len(self.references) // 3
        if not third:
            return None
        moved = between(self.references[:third], self.references[-third:])
        if all(abs(change) <= TOLD for change in moved.seconds.values()):
            return None
        return (
            f"the machine itself changed while this was measured, in seconds at the end: {moved.told()}"
            f"{moved.explained}; as both sides took turns, that is in neither's favour"
        )

    def noise_warnings(self) -> list[str]:
        """Cells in which the noise of base's runs is too large for the margin, even with all rounds."""
        told = []
        for cell in self.cells:
            for case in cell.cases(self.limits, self.rounds):
                deviation = noise.pair_noise(case.base) if case.quantity.is_time else None
                margin = case.quantity.margin
                if deviation and (floor := noise.floor(deviation, self.rounds)) > margin:
                    told.append(
                        f"{cell.label}: {case.quantity.name} of equal runs differs by {deviation:.1%} (sd) here, so "
                        f"that {self.rounds} rounds can show {floor:.1%} at the least, and not {margin:.1%}"
                    )
        return told

    def contended(self) -> list[str]:
        """Cells during which something else was busy: how often on each side, and how."""
        told = []
        for cell in self.cells:
            sides = [[run for run in side if run.metrics.get("contended")] for side in zip(*cell.pairs, strict=True)]
            if what := disturbed([run for side in sides for run in side][:1]):
                base, head = map(len, sides)
                told.append(
                    f"{cell.label}: contended, {base} of {len(cell.pairs)} runs of the base and {head} of head's "
                    f"({what}, for one); stop what else runs, and measure again with --fresh"
                )
        return told

    def _pair(self, cell: PairedCell, reference: Reference | None) -> None:
        assert cell.base is not None
        position = len(cell.pairs)
        sides = [(self.base, cell.base), (self.head, cell.head)]
        runs = {}
        # A B, then B A, so that being second, and a drift of the machine, affects both sides alike.
        for arm, place in sides if position % 2 == 0 else sides[::-1]:
            self.on_run(cell, arm.name, position)
            runs[arm.name] = self._measure(cell, arm, place, position, reference)
            if runs[arm.name].status == "interrupted":
                raise AgentFailed("a run was ended from outside", None, True)
            reference = None
        # Together, so that an interrupted pair is measured again.
        for run in runs.values():
            self.store.append(run)
        cell.add(runs["base"], runs["head"])

    def _measure(
        self, cell: PairedCell, arm: Arm, place: CellAddress, position: int, reference: Reference | None
    ) -> Run:
        run_id = new_run_id()
        log = self.folder / "logs" / f"{run_id}.log"
        reply = arm.agent.ask(
            "run",
            matrix=place.matrix,
            cell=place.cell,
            seed=position,
            device=self.device,
            data=None if self.data is None else str(self.data),
            cache=str(self.folder.parent / "cache"),
            log=str(log),
        )
        facts = reply.get("facts", {})
        gate = {
            "arm": arm.name,
            "matrix": cell.matrix,
            "cell": cell.label,
            "round": position,
            "start": self._start,
            "reference": reference,
        }
        return Run(
            run_id=run_id,
            cell=place.id,
            recipe=cell.recipe,
            sweep=cell.matrix,
            seed=position,
            status=reply["status"],
            reason=reply["reason"],
            started_at=reply["started_at"],
            log=str(log.relative_to(self.folder.parent)) if log.exists() else None,
            log_tail=reply.get("log_tail", []),
            command=self.command,
            measure=place.measure,
            config={**place.config, "resolved": {**facts.get("resolved", {}), "gate": gate}},
            metrics=reply.get("metrics", {}),
            spans=reply.get("spans", []),
            epochs=reply.get("epochs", []),
            machine=arm.machine,
            code=arm.code,
            data=facts.get("data", {}),
            versions=facts.get("versions", {}),
        )

    def _reference(self, now_s: float) -> Reference | None:
        if now_s < self._next_reference_s:
            return None
        self._next_reference_s = now_s + REFERENCE_EVERY_S
        taken: Reference = self.head.agent.ask("reference", device=self.device)
        self.references.append(taken)
        return taken

    def _give_up(self, left_s: float, renewal_s: float, took: Mapping[tuple[str, str], Sequence[float]]) -> None:
        """Give up cells that the remaining rounds would hardly decide, the least hopeful first."""
        if self.precise:
            return
        # The first round of a call has extra costs.
        while due := [cell for cell in self.cells if cell.open and len(took[cell.key]) > 1]:
            round_s = renewal_s + sum(median(took[cell.key]) for cell in due)
            more = int(left_s / round_s) if round_s > 0 and math.isfinite(left_s) else self.rounds
            if more <= 0:
                return  # which ends the comparison anyway
            chance, position = min((self._chance(cell, more), position) for position, cell in enumerate(due))
            if chance >= HOPELESS:
                return
            due[position].give_up(min(self.rounds, len(due[position].pairs) + more), left_s, round_s)
            self.on_decided(due[position], self._judgements()[due[position].key])

    def _chance(self, cell: PairedCell, more: int) -> float:
        """The chance that `more` rounds decide the most promising figure of the cell."""
        cases = cell.cases(self.limits, self.rounds)
        judged = zip(cases, judge(cases, self.limits.false_alarms), strict=True)
        unsure = [case for case, judgement in judged if judgement.verdict is Verdict.UNSURE]
        rounds = min(self.rounds, len(cell.pairs) + more)
        return max((chance_to_decide(case, rounds, self.limits.false_alarms) for case in unsure), default=1.0)

    def _judge(self) -> None:
        """Mark the cells that are decided now; they are no longer measured."""
        if self.precise:
            return
        for key, judgements in self._judgements().items():
            cell = next(cell for cell in self.cells if cell.key == key)
            if cell.open and judgements and all(one.verdict is not Verdict.UNSURE for one in judgements):
                cell.decided = True
                self.on_decided(cell, judgements)

    def _judgements(self) -> dict[tuple[str, str], list[Judgement]]:
        cases = [(cell.key, case) for cell in self.cells for case in cell.cases(self.limits, self.rounds)]
        found: dict[tuple[str, str], list[Judgement]] = {cell.key: [] for cell in self.cells}
        for (key, _), judgement in zip(
            cases, judge([case for _, case in cases], self.limits.false_alarms), strict=True
        ):
            found[key].append(judgement)
        return found
