"""What a comparison found, before anybody renders it: a finding for each quantity of each cell, and the exit code."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bench import stats
from bench.gate.quantity import FASTER_SLOWER
from bench.gate.verdict import Judgement, Verdict

Unsure = Literal["say", "pass", "fail"]
REGRESSIONS = (Verdict.WORSE, Verdict.BROKEN)


@dataclass(frozen=True)
class Finding:
    """The judgement of one quantity of one cell; of a cell that could not be judged, there is one in all."""

    cell: str
    measure: str
    judgement: Judgement | None
    missing: Verdict | None = None
    reason: str | None = None

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
        """What more there is to say, None where the verdict says all."""
        return self.judgement.reason if self.judgement is not None else self.reason


@dataclass(frozen=True)
class Side:
    """What was compared: a name for people, and which code it was."""

    name: str
    code: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """All findings of one comparison; `unsure` says what is made of what could not be decided."""

    base: Side
    head: Side
    findings: Sequence[Finding]
    notes: Sequence[str] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)
    unsure: Unsure = "say"
    seconds: float | None = None
    rounds: int | None = None

    @property
    def counts(self) -> Counter[Verdict]:
        return Counter(finding.verdict for finding in self.findings)

    @property
    def regressions(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.verdict in REGRESSIONS]

    @property
    def exit_code(self) -> int:
        """1 for a regression, and for what is unsure where that is to fail; 3 where there was nothing to judge by.

        What is surely not worse fails in no case, even where it may be the same or better.
        """
        if any(map(self.fails, self.findings)):
            return 1
        return 0 if any(finding.judgement is not None for finding in self.findings) else 3

    def fails(self, finding: Finding) -> bool:
        """Whether this alone makes the exit code 1."""
        is_open = finding.verdict is Verdict.UNSURE and not (finding.judgement and finding.judgement.not_worse)
        return finding.verdict in REGRESSIONS or (is_open and self.unsure == "fail")

    def is_skipped(self, finding: Finding) -> bool:
        """Whether it neither passes nor fails."""
        is_open = finding.verdict is Verdict.UNSURE and self.unsure == "say"
        return finding.verdict is Verdict.NO_BASELINE or is_open

    @property
    def times(self) -> stats.Estimate | None:
        """Head over base in the geometric mean of all times that were judged; None where they are fewer than two."""
        judged = [finding.judgement for finding in self.findings if finding.judgement]
        of_time = [one for one in judged if one.quantity.words == FASTER_SLOWER and one.quantity.larger_is_worse]
        ratios = [one.change.value for one in of_time if one.change and 0 < one.change.value < math.inf]
        return stats.geometric_mean(ratios) if len(ratios) > 1 else None

    @property
    def headline(self) -> str:
        """The outcome in one sentence."""
        counts = self.counts
        if self.regressions:
            named = sorted({f"{one.cell} ({one.word})" for one in self.regressions})
            return f"Regression: {'; '.join(named)}"
        unsure, without = counts[Verdict.UNSURE], counts[Verdict.NO_BASELINE]
        if self.exit_code == 3:
            return f"Nothing could be compared: {'no baseline' if without else 'no time'}"
        told = ["No regression found" if unsure or without else "No regression"]
        if unsure:
            told.append(f"{unsure} of {counts.total() - without} figures are unsure")
        if without:
            told.append(f"{without} could not be compared")
        return "; ".join(told)
