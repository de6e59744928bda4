"""The claims that a machine can test, their order, and their duration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.claims.cells import Claim
from bench.claims.evidence import Answer, mean_total_s


@dataclass(frozen=True)
class Step:
    """A claim with its present answer, the expected time of its missing runs, and why it cannot be tested here,
    if so."""

    answer: Answer
    expected_s: float
    obstacle: str | None = None

    @property
    def claim(self) -> Claim:
        return self.answer.claim


def obstacle(claim: Claim, machine: Mapping[str, Any], device: str) -> str | None:
    """What a claim needs that this machine or the project lacks; None if it can be tested."""
    needs = claim.spec.needs
    if needs is None:
        return None
    if needs.system is not None or claim.spec.matrix is None:
        return f"needs {needs}"
    boards = {str(gpu["name"]): int(gpu["count"]) for gpu in machine.get("gpus") or ()}
    found = sum(boards.values()) if device == "cuda" else 0
    if needs.gpu and found < (needs.gpus or 1):
        return f"needs {needs}; found {found or 'none'}"
    if needs.card is not None and not needs.is_card_among(boards):
        return f"needs a {needs.card}; found {', '.join(boards)}"
    return None


def expected_s(claim: Claim, answer: Answer, seeds: int) -> float:
    """Expected seconds of the missing runs: by runs of the same cell, else by the claim's file."""
    guess_s = 60 * (claim.spec.minutes or 0.0) / max(1, len(claim.compared) * claim.seeds)
    seconds = 0.0
    for cell in claim.compared:
        runs = [run for run in answer.runs if run.cell in cell.ids]
        seconds += max(0, seeds - len(runs)) * (mean_total_s(runs) or guess_s)
    return seconds


def in_order(steps: Sequence[Step]) -> list[Step]:
    """The claims that can be tested here and lack runs, cheapest first."""
    return sorted((step for step in steps if step.obstacle is None and step.expected_s > 0), key=lambda s: s.expected_s)


@dataclass
class Budget:
    """A limit on seconds for runs, None for no limit, corrected by how long the claims so far took compared with
    expectation."""

    budget_s: float | None
    spent_s: float = 0.0
    planned_s: float = 0.0

    @property
    def pace(self) -> float:
        return self.spent_s / self.planned_s if self.planned_s else 1.0

    @property
    def left_s(self) -> float | None:
        return None if self.budget_s is None else max(0.0, self.budget_s - self.spent_s)

    def has_room_for(self, expected_s: float) -> bool:
        return self.left_s is None or expected_s * self.pace <= self.left_s

    def spend(self, planned_s: float, spent_s: float) -> None:
        self.planned_s += planned_s
        self.spent_s += spent_s
