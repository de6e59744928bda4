"""The verdict: whether head is the same as base, better, worse, or still undecided.

What counts as a change has all of these:

- it is significant: equal code is called better or worse in at most 1 % of comparisons, however often the evidence is
  tested (`group_sequential`), and of several changes reported together at most 1 % are expected to be false (Benjamini
  and Hochberg, "Controlling the false discovery rate", JRSS B 57, 1995);
- it is larger than a margin, and larger than an absolute floor.

`same` is a finding too, and not the lack of one: the whole interval lies within the margin, by two one-sided tests at
5 % (Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15, 1987). Everything else is `unsure`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import fmean, median

from scipy import stats

from bench.gate import group_sequential
from bench.gate.quantity import Quantity
from bench.statistics import shift
from bench.statistics.estimates import Estimate

# The rate for equal code, both directions together.
FALSE_ALARMS = 0.01
# Of `same` where there is a change as large as the margin, in either direction.
FALSE_SAME = 0.05
# From this many pairs on, unanimous pairs can be significant with the rate spent by then; and from this many on, they
# can have an interval. Earlier looks would waste their share of the rate.
LEAST_ROUNDS_FOR_ALARM = 10
LEAST_ROUNDS = 8
# Accuracies are judged by means, for which this many values suffice.
LEAST_SEEDS = 3
# Larger numbers of rounds are not reported.
MOST_ROUNDS_TOLD = 1000


class Verdict(StrEnum):
    SAME = "same"
    BETTER = "better"
    WORSE = "worse"
    UNSURE = "unsure"
    NO_BASELINE = "no_baseline"
    BROKEN = "broken"


@dataclass(frozen=True)
class Case:
    """Values of one quantity of one cell, in measuring order.

    If `paired`, values at the same position belong together: neighbours in time, or of the same seed. `planned` is the
    largest number of pairs if they are tested as they arrive; None if this is the only test. If `by_host`, each value
    is that of a host, and pairs are of the same host.
    """

    quantity: Quantity
    base: Sequence[float]
    head: Sequence[float]
    paired: bool = True
    planned: int | None = None
    by_host: bool = False

    @property
    def by_rank(self) -> bool:
        """Whether it is judged by ranks, and not by means: hosts are too few for ranks."""
        return self.quantity.scale == "ratio" and not self.by_host

    @property
    def least(self) -> int:
        """The least number of values on each side."""
        return LEAST_ROUNDS if self.by_rank else LEAST_SEEDS


@dataclass(frozen=True)
class Judgement:
    """The judgement of one quantity of one cell.

    `change` is head over base for a ratio, head minus base for a difference, with an interval that is valid at any
    stopping time. `p` is the probability that equal code differs this much in either direction. `rounds_needed`
    estimates the total number of rounds for a decision, None if unknown. `noise` is the standard deviation of one
    pair's change on the scale of the judgement (logarithms for a ratio), None if unknown. `withdrawn` is whether a
    change was found that may not be the code's, so that more rounds would not decide; `reason` says what would.
    """

    verdict: Verdict
    quantity: Quantity
    change: Estimate | None = None
    p: float | None = None
    base: float | None = None
    head: float | None = None
    not_worse: bool = False
    rounds_needed: int | None = None
    reason: str | None = None
    noise: float | None = None
    withdrawn: bool = False

    def as_withdrawn(self, reason: str, not_worse: bool = False) -> Judgement:
        return replace(self, verdict=Verdict.UNSURE, reason=reason, not_worse=not_worse, withdrawn=True)

    @property
    def word(self) -> str:
        """`slower` for a time that is worse, and so on."""
        better, worse = self.quantity.words
        return {Verdict.BETTER: better, Verdict.WORSE: worse}.get(self.verdict, self.verdict.value)

    @property
    def n(self) -> int:
        return self.change.n if self.change else 0

    @property
    def hosts(self) -> int | None:
        """The number of hosts, if these and not runs are counted."""
        return self.change.hosts if self.change else None


@dataclass(frozen=True)
class Evidence:
    """One case on a scale where larger is worse; `low` and `high` are valid at every look, `threshold` is the least
    change that matters."""

    case: Case
    n: int
    estimate: float
    low: float
    high: float
    p_worse: float
    p_better: float
    threshold: float
    noise: float | None = None

    @property
    def p(self) -> float:
        return min(1.0, 2 * min(self.p_worse, self.p_better))


def judge(cases: Sequence[Case], false_alarms: float = FALSE_ALARMS) -> list[Judgement]:
    """A judgement for each case; false alarms are controlled over all of them."""
    weighed = [weigh(case) for case in cases]
    limit = significance_limit([1.0 if evidence is None else evidence.p for evidence in weighed], false_alarms)
    return [
        _too_few(case) if evidence is None else _conclude(evidence, limit, false_alarms)
        for case, evidence in zip(cases, weighed, strict=True)
    ]


def significance_limit(p_values: Sequence[float], rate: float) -> float:
    """The largest significant p at this false discovery rate; 0 if none is significant (Benjamini, Hochberg)."""
    ordered = sorted(p_values)
    return max((p for rank, p in enumerate(ordered, 1) if p <= rate * rank / len(ordered)), default=0.0)


def weigh(case: Case) -> Evidence | None:
    """The evidence of a case at its last look; None for too few values."""
    quantity, sign = case.quantity, 1.0 if case.quantity.larger_is_worse else -1.0
    is_ratio, by_rank, least = quantity.scale == "ratio", case.by_rank, case.least
    n = min(len(case.base), len(case.head))
    if case.planned is None:
        for_same: tuple[int, ...] = (n,)
        for_alarm: tuple[int, ...] = (n,)
        if n < (1 if by_rank else 2):
            return None
    else:
        for_same = group_sequential.looks(case.planned, least)
        for_alarm = group_sequential.looks(case.planned, LEAST_ROUNDS_FOR_ALARM if by_rank else least)
    made = [look for look in for_same if look <= n]
    if not made:
        return None
    base, head = ([sign * (math.log(value) if is_ratio else value) for value in arm] for arm in (case.base, case.head))

    def shift_after(look: int) -> shift.Shift:
        # A single look uses all values, also if one arm has more.
        a, b = (base, head) if case.planned is None else (base[:look], head[:look])
        if case.paired:
            return shift.of_pairs(a, b) if by_rank else shift.means_of_pairs(a, b, counted=not is_ratio)
        return shift.of_two(a, b) if by_rank else shift.means_of_two(a, b, counted=not is_ratio)

    p_worse = p_better = 1.0
    for position, look in enumerate(for_alarm):
        if look <= n:
            at_look = shift_after(look)
            p_worse = min(p_worse, group_sequential.repeated_p(at_look.p_above(), for_alarm, position))
            p_better = min(p_better, group_sequential.repeated_p(at_look.p_below(), for_alarm, position))
    now = shift_after(made[-1])
    level = group_sequential.nominal(FALSE_SAME, for_same, len(made) - 1)
    low, high = now.interval(level)
    error = (high - low) / 2 / float(stats.norm.isf(level)) if math.isfinite(high - low) else None
    noise = None if error is None else error * math.sqrt(made[-1])
    return Evidence(case, made[-1], now.estimate, low, high, p_worse, p_better, threshold_of(case), noise)


def threshold_of(case: Case) -> float:
    """The least change that matters, on the scale of the judgement."""
    quantity = case.quantity
    if quantity.scale == "difference":
        return max(quantity.margin, quantity.floor)
    return max(math.log1p(quantity.margin), math.log1p(quantity.floor / median(case.base)))


def _conclude(evidence: Evidence, limit: float, false_alarms: float) -> Judgement:
    found = _judgement(evidence)
    threshold = evidence.threshold
    if evidence.p <= limit and abs(evidence.estimate) > threshold:
        return replace(found, verdict=Verdict.WORSE if evidence.estimate > 0 else Verdict.BETTER)
    if -threshold < evidence.low and evidence.high < threshold:
        return replace(found, verdict=Verdict.SAME, reason=_below_the_floor(evidence))
    rounds = _rounds_needed(evidence, false_alarms)
    return replace(found, rounds_needed=rounds, reason=_why_unsure(evidence, limit))


def _judgement(evidence: Evidence) -> Judgement:
    case, quantity = evidence.case, evidence.case.quantity
    ends = (evidence.estimate, evidence.low, evidence.high)
    if quantity.larger_is_worse:
        value, low, high = ends
    else:
        value, low, high = 0.0 - ends[0], 0.0 - ends[2], 0.0 - ends[1]  # no -0.0
    if quantity.scale == "ratio":
        value, low, high = (math.exp(end) if end < 700 else math.inf for end in (value, low, high))
    method = {
        ("ratio", True): "Hodges-Lehmann ratio of pairs",
        ("ratio", False): "Hodges-Lehmann ratio of two samples",
        ("difference", True): "mean difference of pairs",
        ("difference", False): "difference of means",
    }[quantity.scale, case.paired]
    if case.by_host:
        method = "t of hosts, in pairs" if case.paired else "t of hosts"
    has_interval = math.isfinite(evidence.low) and math.isfinite(evidence.high)
    middle = median if quantity.scale == "ratio" else fmean
    return Judgement(
        Verdict.UNSURE,
        quantity,
        Estimate(
            value,
            evidence.n,
            method,
            low if has_interval else None,
            high if has_interval else None,
            1 - 2 * FALSE_SAME,
            hosts=evidence.n if case.by_host else None,
        ),
        evidence.p,
        middle(case.base),
        middle(case.head),
        not_worse=evidence.high < evidence.threshold,
        noise=evidence.noise,
    )


def _too_few(case: Case) -> Judgement:
    n = min(len(case.base), len(case.head))
    reason = f"{n} of each are too few to say anything"
    if case.by_host:
        reason = (
            f"each host counts once, and {n} on a side is too few to tell hosts from code; run both sides on the same "
            "hosts, or on more; --any-machine compares all the same"
        )
        return Judgement(Verdict.UNSURE, case.quantity, reason=reason)
    middle = median if case.quantity.scale == "ratio" else fmean
    base, head = (middle(side) if side else None for side in (case.base, case.head))
    return Judgement(Verdict.UNSURE, case.quantity, None, None, base, head, rounds_needed=case.least, reason=reason)


def _below_the_floor(evidence: Evidence) -> str | None:
    """The remark if a change exceeds the margin but counts as the same because of its absolute size."""
    quantity = evidence.case.quantity
    if quantity.scale != "ratio" or abs(evidence.estimate) <= math.log1p(quantity.margin):
        return None
    better, worse = quantity.words
    base = median(evidence.case.base)
    # The change converted from logarithms to the quantity's own scale.
    moved = abs(base * math.expm1(evidence.estimate if quantity.larger_is_worse else -evidence.estimate))
    word = worse if evidence.estimate > 0 else better
    return (
        f"below the floor: {word} by {quantity.show(moved)}, and less than {quantity.show(quantity.floor)} counts for "
        "nothing, however many percent it is" + ("; --floor names another" if quantity.is_time else "")
    )


def _why_unsure(evidence: Evidence, limit: float) -> str:
    better, worse = evidence.case.quantity.words
    word = worse if evidence.estimate > 0 else better
    if evidence.p <= limit:
        return f"{word} for sure, but not beyond the margin, and perhaps not within it"
    if abs(evidence.estimate) > evidence.threshold:
        return f"perhaps {word}, not significantly so"
    if not math.isfinite(evidence.low):
        return "too few for an interval"
    if evidence.high < evidence.threshold:
        return f"not {worse} than the margin allows; perhaps {better}"
    return "the interval is wider than the margin"


def _rounds_needed(evidence: Evidence, false_alarms: float) -> int | None:
    """The number of rounds for a decision if estimate and noise stay the same."""
    n, estimate, threshold = evidence.n, abs(evidence.estimate), evidence.threshold
    if not math.isfinite(evidence.low):
        return LEAST_ROUNDS_FOR_ALARM if estimate > threshold else LEAST_ROUNDS
    reach = (evidence.high - evidence.low) / 2
    if estimate > threshold:
        seen, wanted = (float(stats.norm.isf(p / 2)) for p in (max(evidence.p, 1e-12), false_alarms))
        growth = (wanted / seen) ** 2 if seen > 0 else math.inf
    else:
        room = threshold - estimate
        growth = (reach / room) ** 2 if room > 0 else math.inf
    rounds = math.inf if growth == math.inf else math.ceil(n * growth)
    return int(max(rounds, n + 1)) if rounds <= MOST_ROUNDS_TOLD else None
