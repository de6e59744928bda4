"""A cell that two trees measure: its address in each, the pairs of runs so far, and their findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.gate.agent_process import AgentFailed, Measurer
from bench.gate.compare import NOTHING_IN_COMMON, Limits, MatchedCell, cases_of, missed
from bench.gate.conditions import other_data
from bench.gate.quantity import QUANTITIES, Quantity, judged_as, quantity_of
from bench.gate.report import GateFinding
from bench.gate.source import cell_label, of_run
from bench.gate.verdict import LEAST_ROUNDS, Case, Judgement, Verdict
from bench.runs.run import FINISHED, Run
from bench.text import units
from bench.text.canonical import canonical_json


@dataclass(frozen=True)
class CellAddress:
    """The number of a cell in a tree, and its identity there."""

    matrix: int
    cell: int
    id: str
    config: Mapping[str, Any]
    measure: str

    @property
    def judged_as(self) -> str:
        return judged_as(self.measure, self.config)


@dataclass
class PairedCell:
    """A cell of a matrix in head, its counterpart in base, and the `pairs` (base, head) of runs in order.

    `judged` are the metrics that count, by default all. `missing` is set with the reason as soon as the cell cannot be
    judged; `given_up` says why an undecided cell is no longer measured.
    """

    matrix: str
    recipe: str
    label: str
    head: CellAddress
    base: CellAddress | None = None
    judged: Sequence[str] = ()
    missing: tuple[Verdict, str] | None = None
    pairs: list[tuple[Run, Run]] = field(default_factory=list)
    decided: bool = False
    given_up: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.matrix, self.label

    @property
    def open(self) -> bool:
        return self.missing is None and not self.decided and self.given_up is None

    def give_up(self, rounds: int, left_s: float, round_s: float) -> None:
        """Stop measuring it, because the possible `rounds` in all would hardly decide it."""
        if rounds < LEAST_ROUNDS:
            needed_s = (LEAST_ROUNDS - len(self.pairs)) * round_s - left_s
            self.given_up = (
                f"there is time for {rounds} rounds, and {LEAST_ROUNDS} are needed at the least; give it about "
                f"{units.duration(needed_s)} more of --budget, or fewer matrices"
            )
            return
        self.given_up = (
            f"too noisy to be decided here: the {rounds} rounds that --budget and --rounds have room for would hardly "
            f"do, so it was measured no more after {len(self.pairs)}; quiet the machine, or give a larger --margin, "
            "--budget or --rounds"
        )

    def add(self, base: Run, head: Run) -> None:
        """Add a pair; a failed one ends the comparison of the cell."""
        for verdict, run in ((Verdict.NO_BASELINE, base), (Verdict.BROKEN, head)):
            if run.status not in FINISHED:
                whose = "the base's run" if run is base else "head's run, unlike the base's,"
                self.missing = verdict, f"{whose} ended as {run.status}: {run.reason}"
                return
        self.pairs.append((base, head))

    def cases(self, limits: Limits, planned: int) -> list[Case]:
        """The cases to judge so far."""
        if self.missing is not None or not self.pairs:
            return []
        known = [quantity.metric for quantity in QUANTITIES.get(self.head.judged_as, ())]
        named = (quantity_of(self.head.judged_as, metric) for metric in self.judged if metric not in known)
        cases = cases_of(self._group, limits, [quantity for quantity in named if quantity is not None])
        found = (case for case in cases if self._counts(case.quantity))
        return [Case(case.quantity, case.base, case.head, True, planned) for case in found]

    def _counts(self, quantity: Quantity) -> bool:
        return quantity.metric in self.judged if self.judged else quantity.in_gate

    @property
    def _group(self) -> MatchedCell:
        base, head = ([of_run(run) for run in side] for side in zip(*self.pairs, strict=True))
        return MatchedCell(self.label, self.head.judged_as, base, head)

    def findings(self, judgements: Sequence[Judgement], limits: Limits) -> list[GateFinding]:
        """A finding for each judgement, or a single one that says why there is none."""
        if self.missing is not None:
            return [GateFinding(self.label, self.head.judged_as, None, *self.missing)]
        if not self.pairs:
            reason = "not one pair of runs was measured in the time there was; give it a larger --budget"
            return [GateFinding(self.label, self.head.judged_as, None, Verdict.UNSURE, reason)]
        counted = [quantity for quantity in QUANTITIES.get(self.head.judged_as, ()) if self._counts(quantity)]
        lacking = {quantity.metric: missed(self._group, limits.false_alarms, [quantity]) for quantity in counted}
        found = [finding for findings in lacking.values() for finding in findings]
        told = {metric for metric, findings in lacking.items() if findings}
        found += self._not_reported(told | {judgement.quantity.metric for judgement in judgements})
        found += [GateFinding(self.label, self.head.judged_as, self._explained(judgement)) for judgement in judgements]
        return found or [GateFinding(self.label, self.head.judged_as, None, Verdict.NO_BASELINE, NOTHING_IN_COMMON)]

    def other_data(self) -> list[str]:
        """The remark if the sides' data differ, as far as they are recorded; of packages, the sides tell."""
        data = other_data(self._group.base, self._group.head) if self.pairs else None
        return [f"{self.label}: {data}"] if data is not None else []

    def _not_reported(self, told: Set[str]) -> list[GateFinding]:
        """A finding for each metric that is to be judged, that some run lacks, and of which nothing is `told` yet."""
        return [
            GateFinding(self.label, self.head.judged_as, None, Verdict.NO_BASELINE, f"not every run reports {metric}")
            for metric in self.judged
            if metric not in told
        ]

    def _explained(self, judgement: Judgement) -> Judgement:
        if self.given_up is None or judgement.verdict is not Verdict.UNSURE:
            return judgement
        return replace(judgement, reason="; ".join(filter(None, (judgement.reason, self.given_up))))


def open_paired_cells(
    paths: Sequence[tuple[Path, Path]], base: Measurer, head: Measurer, device: str, found: int
) -> list[PairedCell]:
    """The cells of matrices in both trees; `paths` are pairs of files (for base, for head).

    Raises UsageError for a mistake in head's matrix; a mistake only in base makes its cells `no_baseline`.
    """
    paired_cells = []
    for for_base, for_head in paths:
        name = for_head.stem
        try:
            of_head = head.ask("open", path=str(for_head), device=device, found=found)
        except AgentFailed as error:
            raise UsageError(f"{name}: {error}") from None
        known: dict[str, CellAddress] = {}
        lost = None
        try:
            of_base = base.ask("open", path=str(for_base), device=device, found=found)
        except AgentFailed as error:
            lost = f"the base cannot run this matrix: {error}"
        else:
            if of_base["measure"] != of_head["measure"]:
                lost = f"the base measures {of_base['measure']}, head {of_head['measure']}"
            known = {canonical_json(cell["values"]): _place(of_base, at) for at, cell in enumerate(of_base["cells"])}
            skips = {canonical_json(cell["values"]): cell["skip"] for cell in of_base["cells"]}
        for at, cell in enumerate(of_head["cells"]):
            if cell["skip"]:
                continue
            values = canonical_json(cell["values"])
            label = cell_label(name, cell["values"])
            paired_cell = PairedCell(name, of_head["recipe"], label, _place(of_head, at))
            paired_cell.base, paired_cell.judged = known.get(values), of_head.get("judge", ())
            if lost is not None:
                paired_cell.missing = Verdict.NO_BASELINE, lost
            elif paired_cell.base is None:
                paired_cell.missing = Verdict.NO_BASELINE, "the base has no such cell"
            elif skips[values]:
                paired_cell.missing = Verdict.NO_BASELINE, f"in the base: {skips[values]}"
            paired_cells.append(paired_cell)
    if not paired_cells:
        raise UsageError("no cell of these matrices can run on this machine")
    return paired_cells


def _place(opened: Mapping[str, Any], at: int) -> CellAddress:
    cell = opened["cells"][at]
    return CellAddress(opened["matrix"], at, cell["id"], cell["config"], opened["measure"])
