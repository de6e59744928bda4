"""The result of a comparison: a finding for each quantity of each cell, and the exit code."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.gate.cause import Part
from bench.gate.verdict import Judgement, Verdict
from bench.statistics import estimates

Unsure = Literal["say", "pass", "fail", "own-code"]
# The exit code of an undecided comparison, if it should differ from that of no regression.
NOT_DECIDED = 4
Outcome = Literal["regression", "not_decided", "none", "nothing"]
REGRESSIONS = (Verdict.WORSE, Verdict.BROKEN)


@dataclass(frozen=True)
class GateFinding:
    """The judgement of one quantity of one cell; a cell that could not be judged has a single finding.

    `cause` are the parts of a run that explain a slow-down, if known.
    """

    cell: str
    measure: str
    judgement: Judgement | None
    missing: Verdict | None = None
    reason: str | None = None
    cause: Sequence[Part] = ()

    @property
    def verdict(self) -> Verdict:
        if self.judgement is not None:
            return self.judgement.verdict
        return self.missing or Verdict.NO_BASELINE

    @property
    def word(self) -> str:
        return self.judgement.word if self.judgement is not None else self.verdict.value

    @property
    def why(self) -> str | None:
        """The explanation; None if the verdict needs none."""
        return self.judgement.reason if self.judgement is not None else self.reason


@dataclass(frozen=True)
class Side:
    """One side of the comparison: a name for people, and the code's identity."""

    name: str
    code: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """All findings of one comparison; `unsure` says how undecided ones count."""

    base: Side
    head: Side
    findings: Sequence[GateFinding]
    notes: Sequence[str] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)
    unsure: Unsure = "say"
    seconds: float | None = None
    rounds: int | None = None

    @property
    def counts(self) -> Counter[Verdict]:
        return Counter(finding.verdict for finding in self.findings)

    @property
    def regressions(self) -> list[GateFinding]:
        return [finding for finding in self.findings if finding.verdict in REGRESSIONS]

    @property
    def undecided(self) -> list[GateFinding]:
        """Unsure findings that may be worse, without those that are surely not worse."""
        unsure = [finding for finding in self.findings if finding.verdict is Verdict.UNSURE]
        return [finding for finding in unsure if not (finding.judgement and finding.judgement.not_worse)]

    @property
    def exit_code(self) -> int:
        """1 for a regression, or an undecided finding if `unsure` is `fail`; 3 if nothing could be judged; 4 for an
        undecided finding if `unsure` is `own-code`; else 0."""
        if any(map(self.fails, self.findings)):
            return 1
        if not any(finding.judgement is not None for finding in self.findings):
            return 3
        return NOT_DECIDED if self.undecided and self.unsure == "own-code" else 0

    def fails(self, finding: GateFinding) -> bool:
        """Whether this alone makes the exit code 1."""
        return finding.verdict in REGRESSIONS or (finding in self.undecided and self.unsure == "fail")

    def is_skipped(self, finding: GateFinding) -> bool:
        """Whether it neither passes nor fails."""
        is_open = finding.verdict is Verdict.UNSURE and self.unsure in ("say", "own-code")
        return finding.verdict is Verdict.NO_BASELINE or is_open

    @property
    def times(self) -> estimates.Estimate | None:
        """The geometric mean of head over base of all judged times; None for fewer than two."""
        judged = [finding.judgement for finding in self.findings if finding.judgement]
        of_time = [one for one in judged if one.quantity.is_time and one.quantity.larger_is_worse]
        ratios = [one.change.value for one in of_time if one.change and 0 < one.change.value < math.inf]
        return estimates.geometric_mean(ratios) if len(ratios) > 1 else None

    @property
    def outcome(self) -> Outcome:
        """What the headline begins with."""
        if self.regressions:
            return "regression"
        if self.exit_code == 3:
            return "nothing"
        return "not_decided" if self.undecided else "none"

    @property
    def headline(self) -> str:
        """The outcome in one sentence."""
        counts, told = self.counts, []
        without = counts[Verdict.NO_BASELINE]
        judged = counts.total() - without
        if self.outcome == "nothing":
            return f"Nothing could be compared: {'no baseline' if without else 'no time'}"
        if self.regressions:
            named = sorted({f"{one.cell} ({one.word})" for one in self.regressions})
            told.append(f"Regression: {'; '.join(named)}")
        if self.undecided:
            word = "not" if told else "Not"
            told.append(f"{word} decided: {len(self.undecided)} of {judged} figures{self._worst_undecided}")
        if not told:
            told.append("No regression found" if without else "No regression")
        if better := counts[Verdict.UNSURE] - len(self.undecided):
            told.append(f"{better} of {judged} figures {'is' if better == 1 else 'are'} not worse, perhaps better")
        if without:
            told.append(f"{without} could not be compared")
        return "; ".join(told)

    @property
    def _worst_undecided(self) -> str:
        """The worst undecided ratio, if its estimate exceeds its margin, so that nobody overlooks it."""
        changes = []
        for finding in self.undecided:
            judgement = finding.judgement
            if judgement and judgement.change and judgement.quantity.scale == "ratio" and judgement.change.value > 0:
                quantity, ratio = judgement.quantity, judgement.change.value
                excess = (ratio if quantity.larger_is_worse else 1 / ratio) / (1 + quantity.margin)
                told = f"{finding.cell}, {quantity.name}: perhaps {100 * (ratio - 1):+.0f} %"
                changes.append((excess, told))
        excess, told = max(changes, default=(0.0, ""))
        return f" ({told})" if excess > 1 else ""
