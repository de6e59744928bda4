"""The chance that more rounds decide a case, so that a hopeless one is given up early.

It assumes the present trend (conditional power: Lan and Wittes, "The B-value", Biometrics 44, 1988). Giving up causes
no false alarms, because the result is always `unsure`.
"""

from __future__ import annotations

import math

from scipy import stats

from bench.gate import group_sequential
from bench.gate.verdict import FALSE_ALARMS, FALSE_SAME, LEAST_ROUNDS, LEAST_ROUNDS_FOR_ALARM, LEAST_SEEDS, Case, weigh

# Below this chance, the time is better spent on another machine, or with another margin.
HOPELESS = 0.1


def chance_to_decide(case: Case, rounds: int, false_alarms: float = FALSE_ALARMS) -> float:
    """The probability of the verdict `same`, `better` or `worse` on pairs after `rounds` rounds in all.

    1 if too little is known yet.
    """
    is_ratio = case.quantity.scale == "ratio"
    if rounds < (LEAST_ROUNDS if is_ratio else LEAST_SEEDS):
        return 0.0
    evidence = weigh(case)
    if evidence is None or evidence.n < LEAST_ROUNDS or not evidence.noise or case.planned is None:
        return 1.0
    if rounds <= evidence.n:
        return 0.0
    error = evidence.noise / math.sqrt(rounds)
    # A part of the final estimate has been measured; the rest is uncertain.
    spread = error * math.sqrt(1 - evidence.n / rounds)

    def chance(low: float, high: float) -> float:
        below = [float(stats.norm.cdf((end - evidence.estimate) / spread)) for end in (low, high)]
        return max(0.0, below[1] - below[0])

    alarm_at = group_sequential.looks(case.planned, LEAST_ROUNDS_FOR_ALARM if is_ratio else LEAST_SEEDS)
    same_at = group_sequential.looks(case.planned, LEAST_ROUNDS if is_ratio else LEAST_SEEDS)
    needed = max(evidence.threshold, _errors_needed(false_alarms / 2, alarm_at, rounds) * error)
    room = evidence.threshold - _errors_needed(FALSE_SAME, same_at, rounds) * error
    return chance(-room, room) + chance(needed, math.inf) + chance(-math.inf, -needed)


def _errors_needed(level: float, at: tuple[int, ...], rounds: int) -> float:
    """The number of standard errors by which a value must differ at the last look within `rounds` rounds."""
    look = max((position for position, one in enumerate(at) if one <= rounds), default=0)
    return float(stats.norm.isf(group_sequential.nominal(level, at, look)))
