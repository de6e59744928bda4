"""The noise floor: the smallest change that a machine can show, measured by comparing code with itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from bench.gate import group_sequential
from bench.gate.verdict import FALSE_ALARMS, LEAST_ROUNDS_FOR_ALARM

# The share of cases in which a change as large as the floor is found with all rounds.
POWER = 0.8
# The ratio of the standard deviation to the median absolute deviation for normal values.
NORMAL_MADS = 1.4826
LEAST_RUNS = 6


def pair_noise(values: Sequence[float]) -> float | None:
    """A robust standard deviation of the log ratio of two neighbouring runs of the same code; None for too few runs."""
    if len(values) < LEAST_RUNS:
        return None
    ratios = np.abs(np.diff(np.log(np.asarray(values, np.float64))))
    return float(np.median(ratios) * NORMAL_MADS)


def floor(noise: float, rounds: int) -> float:
    """The smallest slow-down, as a fraction, that the gate finds in 80 % of cases with this noise and number of
    rounds."""
    at = group_sequential.looks(rounds, LEAST_ROUNDS_FOR_ALARM)
    significant = float(stats.norm.isf(group_sequential.nominal(FALSE_ALARMS / 2, at, len(at) - 1)))
    return math.expm1((significant + float(stats.norm.isf(1 - POWER))) * noise / math.sqrt(rounds))
