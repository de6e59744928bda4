"""The score of a cell under a rule book: its figures, and the findings that make its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.scores.rules.timing import Timing
from bench.statistics.estimates import Estimate, SignificanceTest

Verdict = Literal["qualifies", "does not qualify"]


@dataclass(frozen=True)
class Finding:
    """One remark about a score: `code` for programs, `text` for people."""

    code: str
    text: str
    disqualifies: bool = False


@dataclass(frozen=True)
class Figures:
    """The figures of a cell's runs under a rule; None if the rule has no such figure or the runs do not allow it."""

    time_s: Estimate | None = None
    cost_usd: Estimate | None = None
    latency_ms: Estimate | None = None
    p_value: SignificanceTest | None = None


def of_time(time_s: Estimate | None, price_per_hour: float | None) -> Figures:
    """The time and its cost."""
    if time_s is None or price_per_hour is None:
        return Figures(time_s)
    return Figures(time_s, time_s.scaled(price_per_hour / 3600, "USD"))


@dataclass(frozen=True)
class Score:
    """A rule book's verdict on the runs of one cell on one machine.

    `reasons` say why it does not qualify; `footnotes` say what else a reader must know. A figure is None if the rule
    does not define it or the runs do not allow it. `energy_j` is that of training, or with `coldstart` of the whole
    run. `accuracy` is the mean of the runs' final accuracies, `reached` the share of runs that reached the target, and
    `p_value` the evidence that the mean accuracy is above the target, if the rule requires it.
    """

    rule: str
    task: str
    cell: str
    recipe: str
    target_accuracy: float | None
    n: int
    time_s: Estimate | None
    cost_usd: Estimate | None
    latency_ms: Estimate | None
    energy_j: Estimate | None
    accuracy: Estimate | None
    reached: Estimate | None
    p_value: SignificanceTest | None
    timings: tuple[Timing, ...]
    reasons: tuple[Finding, ...]
    footnotes: tuple[Finding, ...]

    @property
    def qualifies(self) -> bool:
        return not self.reasons

    @property
    def verdict(self) -> Verdict:
        return "qualifies" if self.qualifies else "does not qualify"
