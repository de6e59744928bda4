"""The verdict on a claim, from the position of the whole interval relative to the claimed band.

- `confirmed`: the interval lies within the claimed band, and the estimate is not negligible;
- `refuted`: it lies outside of it, or whatever difference there is is negligible;
- `unsure`: it does not say, with how many runs a cell would decide if they varied as those seen;
- `not testable here`: the machine, the data or the project lacks what the claim needs.

A claim of several parts is confirmed if all of them are, and refuted if one is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.claims.claim import LEAST_SEEDS, NOTHING_DIFFERS, Comparison
from bench.claims.effect import Effect, half_width
from bench.text.units import counted

# Larger numbers are not reported.
MOST_RUNS_TOLD = 1000


class ClaimVerdict(StrEnum):
    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    UNSURE = "unsure"
    NOT_TESTABLE = "not testable here"


@dataclass(frozen=True)
class ClaimFinding:
    """The verdict on one part of a claim; `effect` is None without runs.

    `runs_needed` is the number of runs of each cell that would decide if they varied like those seen; None if unknown
    or decided.
    """

    comparison: Comparison
    verdict: ClaimVerdict
    effect: Effect | None = None
    reason: str = ""
    runs_needed: int | None = None


def find(comparison: Comparison, effect: Effect, planned: int) -> ClaimFinding:
    """The verdict from an effect with `planned` runs of each cell."""
    if effect.n < 1:
        raise ValueError("a verdict needs a run")
    if effect.low is None or effect.high is None:
        least = max(planned, LEAST_SEEDS)
        if comparison.quantity == "rank_correlation":
            return ClaimFinding(comparison, ClaimVerdict.UNSURE, effect, f"{effect.n} cells are too few")
        reason = f"{counted(effect.n, 'run')} of each cell {'is' if effect.n == 1 else 'are'} too few for an interval"
        return ClaimFinding(comparison, ClaimVerdict.UNSURE, effect, reason, least)
    if (verdict := _decided(comparison, effect.value, effect.low, effect.high)) is not None:
        negligible = _is_negligible(comparison, effect.low, effect.high)
        reason = f"no difference that matters: less than {_negligible(comparison)} either way" if negligible else ""
        return ClaimFinding(comparison, verdict, effect, reason)
    needed = runs_needed(comparison, effect, planned)
    return ClaimFinding(comparison, ClaimVerdict.UNSURE, effect, _why_unsure(comparison, effect), needed)


def overall(verdicts: Sequence[ClaimVerdict]) -> ClaimVerdict:
    """The verdict from those of all parts of a claim, at least one."""
    for verdict in (ClaimVerdict.REFUTED, ClaimVerdict.NOT_TESTABLE, ClaimVerdict.UNSURE):
        if verdict in verdicts:
            return verdict
    return ClaimVerdict.CONFIRMED


def runs_needed(comparison: Comparison, effect: Effect, planned: int) -> int | None:
    """The number of runs of each cell that would decide if estimate and scatter stay the same."""
    if effect.scatter is None:
        return None
    middle, back = (math.log(effect.value), math.exp) if effect.is_log else (effect.value, float)
    for n in _counts(effect.n + 1):
        reach = half_width(effect.scatter, n, planned)
        if _decided(comparison, effect.value, back(middle - reach), back(middle + reach)) is not None:
            return n
    return None


def _decided(comparison: Comparison, value: float, low: float, high: float) -> ClaimVerdict | None:
    """The verdict that an interval allows; None for none."""
    if _is_negligible(comparison, low, high):
        return ClaimVerdict.REFUTED
    claimed_low, claimed_high = comparison.claimed.ends
    if high < claimed_low or low > claimed_high:
        return ClaimVerdict.REFUTED
    inside = claimed_low < low and high < claimed_high
    return ClaimVerdict.CONFIRMED if inside and not _is_negligible(comparison, value, value) else None


def _why_unsure(comparison: Comparison, effect: Effect) -> str:
    if effect.remark:
        return effect.remark
    if _is_negligible(comparison, effect.value, effect.value):
        return f"perhaps a difference of less than {_negligible(comparison)}, which does not matter"
    if comparison.quantity == "rank_correlation":
        return "only more cells would make its interval narrower, and more runs would not"
    return ""  # the interval reaches both into the claimed band and out of it, as the table shows


def _negligible(comparison: Comparison) -> str:
    """Such as `3 %`, or `0.5 percentage points` of an accuracy."""
    size = comparison.negligible or 0.0
    if comparison.quantity == "ratio":
        return f"{100 * size:g} %"
    return f"{100 * size:g} percentage points" if comparison.metric.endswith("accuracy") else f"{size:g}"


def _is_negligible(comparison: Comparison, low: float, high: float) -> bool:
    """Whether all between two values is as good as no difference."""
    if comparison.negligible is None:
        return False
    nothing = NOTHING_DIFFERS[comparison.quantity]
    if comparison.quantity == "ratio":
        return 1 / (1 + comparison.negligible) < low and high < 1 + comparison.negligible
    return nothing - comparison.negligible < low and high < nothing + comparison.negligible


def _counts(first: int) -> list[int]:
    """Every count up to a hundred, then in steps of a tenth."""
    found, n = [], first
    while n <= MOST_RUNS_TOLD:
        found.append(n)
        n += n // 10 if n >= 100 else 1
    return found
