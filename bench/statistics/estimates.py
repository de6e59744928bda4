"""Statistics of repeated runs: estimates with their n and, where n allows, an interval.

What n runs cannot give is None: a single run has no interval, nor do values that are all equal.
tests/bench/statistics/test_estimates.py measures how often the 95 % intervals cover the truth, with 2,000 draws of
normal times at n = 5, 10 and 40. Functions whose intervals fall short say so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from bench.statistics import LEAST_FOR_INTERVAL

CONFIDENCE = 0.95
TIME_TO_SUCCESS = "expected time to a success, MOVER interval"


@dataclass(frozen=True)
class Estimate:
    """A value from `n` runs, with the interval from `low` to `high` where n allows one; `method` names both.

    `high` is infinite if the runs bound the value only from below. `values` holds the single values of a mean if they
    are too few for a useful interval. `hosts` is the number of hosts if the interval allows for
    differences between them.
    """

    value: float
    n: int
    method: str
    low: float | None = None
    high: float | None = None
    confidence: float = CONFIDENCE
    unit: str = ""
    values: tuple[float, ...] = ()
    hosts: int | None = None

    @property
    def useful_ends(self) -> tuple[float, float] | None:
        """Both ends of the interval; None without one, or if the values are so few that they are told instead."""
        return None if self.values or self.low is None or self.high is None else (self.low, self.high)

    def scaled(self, factor: float, unit: str) -> Estimate:
        """The same in another unit; `factor` is positive."""
        low, high = (None if bound is None else bound * factor for bound in (self.low, self.high))
        values = tuple(value * factor for value in self.values)
        return replace(self, value=self.value * factor, low=low, high=high, unit=unit, values=values)

    def overlaps(self, other: Estimate) -> bool:
        """Whether the two intervals overlap; an estimate without an interval counts as a point."""
        low, high = (self.value if bound is None else bound for bound in (self.low, self.high))
        other_low, other_high = (other.value if bound is None else bound for bound in (other.low, other.high))
        return low <= other_high and other_low <= high


@dataclass(frozen=True)
class SignificanceTest:
    """The outcome of a significance test on `n` values; `p` is None if they do not allow the test."""

    __test__ = False  # not pytest's

    p: float | None
    n: int
    method: str
    hypothesis: str


def mean(values: Sequence[float], confidence: float = CONFIDENCE, unit: str = "") -> Estimate:
    """The mean, with Student's t interval ("The probable error of a mean", 1908).

    Exact for normal values from n = 2 on: it covers the truth in 95 % of draws, also at n = 5.
    """
    sample = _sample(values)
    error = float(sample.std(ddof=1)) / math.sqrt(sample.size) if sample.size > 1 else 0.0
    taken = student(float(sample.mean()), error, sample.size - 1, sample.size, "mean, t interval", confidence, unit)
    return replace(taken, values=tuple(sample.tolist())) if 1 < sample.size < LEAST_FOR_INTERVAL else taken


def median(values: Sequence[float], confidence: float = CONFIDENCE, unit: str = "") -> Estimate:
    """The median, with the interval between two order statistics (W. R. Thompson, 1936), for any distribution.

    Fewer than six values have no 95 % interval. It covers at least as often as promised: 97.9 % at n = 10, 96.2 % at
    40.
    """
    from scipy import stats  # late, here and below: importing it takes longer than most commands

    sample = np.sort(_sample(values))
    n = sample.size
    outside = int(stats.binom.ppf((1 - confidence) / 2, n, 0.5)) - 1  # the number of values beyond each end
    low, high = (float(sample[outside]), float(sample[n - 1 - outside])) if outside >= 0 else (None, None)
    return Estimate(float(np.median(sample)), n, "median, order statistics", low, high, confidence, unit)


def olympic_mean(values: Sequence[float], confidence: float = CONFIDENCE, unit: str = "") -> Estimate:
    """The mean without the fastest and the slowest (MLPerf training rules, "Benchmark Results"; n counts all).

    The interval is that of a trimmed mean (Tukey and McLaughlin, 1963), from n = 4 on. One value may be infinite, for a
    run that never reached the target; it counts as the slowest. Coverage is slightly low for few values: 92.7 % at n =
    5, 94 % from n = 10 on. Raises ValueError for fewer than three values.
    """
    sample = np.sort(_sample(values))
    n, kept = sample.size, sample[1:-1]
    if n < 3:
        raise ValueError(f"an olympic mean needs at least 3 values, not {n}")
    winsorised = np.concatenate([kept[:1], kept, kept[-1:]])
    error = float(np.std(winsorised, ddof=1)) * math.sqrt(n) / kept.size if np.isfinite(kept).all() else math.inf
    method = "olympic mean, Tukey-McLaughlin interval"
    return student(float(kept.mean()), error, kept.size - 1, n, method, confidence, unit)


def share(successes: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """The share of successes among n runs, with Wilson's score interval (JASA 22, 1927).

    It works for any n and stays in [0, 1]. Because n runs give only n + 1 different shares, coverage is 92 to 98 %.
    Raises ValueError where `successes` is not in 0 to n, or n is 0.
    """
    if n < 1:
        raise ValueError("a share needs at least one run")
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} runs cannot have succeeded")
    low, high = wilson_interval(successes / n, n, confidence)
    return Estimate(successes / n, n, "share, Wilson interval", low, high, confidence)


def wilson_interval(value: float, n: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval (JASA 22, 1927) of a share in [0, 1], for a number of runs that need not be whole."""
    z2 = float(special.ndtri((1 + confidence) / 2)) ** 2
    middle = (value + z2 / (2 * n)) / (1 + z2 / n)
    reach = math.sqrt(z2 * (value * (1 - value) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    # Rounding must not move the ends of "none" and "all".
    return (max(0.0, middle - reach) if value > 0 else 0.0), (min(1.0, middle + reach) if value < 1 else 1.0)


def p_at_least(values: Sequence[float], target: float) -> SignificanceTest:
    """A one-sided one-sample t test (Student, 1908) of whether the mean is above `target`.

    The null hypothesis is that the true mean is at most the target. p is the probability of a t this large or larger if
    the true mean equals the target; a small p is evidence that the mean is above it. modded-nanogpt requires p < .01
    for its target loss. p is None for a single value and for equal values.
    """
    sample = _sample(values)
    p = None
    if sample.size > 1 and float(np.ptp(sample)) > 0:
        t = (float(sample.mean()) - target) / (float(sample.std(ddof=1)) / math.sqrt(sample.size))
        # The fastest of SciPy's functions for it, a few microseconds: a leaderboard needs thousands.
        p = float(special.stdtr(sample.size - 1, -t))
    return SignificanceTest(p, sample.size, "one-sided one-sample t test", f"true mean <= {target:g}")


def time_to_success(
    success_s: Sequence[float], failure_s: Sequence[float] = (), confidence: float = CONFIDENCE
) -> Estimate:
    """Expected seconds until a success if failed runs are repeated: all time spent over the number of successes.

    That is the expected running time, ERT (Auger and Hansen, 2005): the mean time of a success plus the mean time of a
    failure for each failure expected before it. The interval combines the intervals of the mean and of Wilson's share
    (MOVER: Zou and Donner, 2008). If no failure was seen, a failure is assumed to last as long as a success. Coverage
    is 92 to 98 % if failures last that long. Without a success the value is infinite and has no interval.
    """
    n = len(success_s) + len(failure_s)
    if len(success_s) == 0:
        return Estimate(math.inf, n, TIME_TO_SUCCESS, None, None, confidence, "s")
    success, reached = mean(success_s, confidence), share(len(success_s), n, confidence)
    return expected_time(success, reached, mean(failure_s).value if len(failure_s) else success.value)


def expected_time(success: Estimate, reached: Estimate, lost_s: float) -> Estimate:
    """`time_to_success` from the mean time of a success, the share of successes, and the mean time of a failure."""
    estimate = Estimate(math.inf, reached.n, TIME_TO_SUCCESS, None, None, success.confidence, "s")
    value = success.value + (1 / reached.value - 1) * lost_s
    if reached.n < 2 or reached.low is None or reached.high is None:
        return replace(estimate, value=value)
    # With a single success, its time is taken as certain and only the share of successes as uncertain.
    low, high = (success.value if bound is None else bound for bound in (success.low, success.high))
    below = math.hypot(success.value - low, (1 / reached.value - 1 / reached.high) * lost_s)
    above = math.hypot(high - success.value, (1 / reached.low - 1 / reached.value) * lost_s)
    return replace(estimate, value=value, low=max(0.0, value - below), high=value + above)


def geometric_mean(values: Sequence[float], confidence: float = CONFIDENCE, unit: str = "") -> Estimate:
    """The geometric mean of positive values (for ratios over cells: Fleming and Wallace, CACM 29, 1986).

    The interval is Student's on the logarithms. It treats the cells as a sample from all possible cells.
    """
    sample = _sample(values)
    if (sample <= 0).any():
        raise ValueError(f"a geometric mean needs positive values, not {sample.min():g}")
    of_logs = mean([float(value) for value in np.log(sample)], confidence)
    low, high = (None if bound is None else math.exp(bound) for bound in (of_logs.low, of_logs.high))
    return Estimate(
        math.exp(of_logs.value), sample.size, "geometric mean, t interval of logs", low, high, confidence, unit
    )


def rank_correlation(x: Sequence[float], y: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Spearman's rank correlation of pairs (1904), from -1 to 1; ties share their mean rank.

    From n = 4 on, the interval is Fisher's transform with the standard error of Bonett and Wright (Psychometrika 65,
    2000); there is none if the ranks agree or disagree completely. Raises ValueError if x and y differ in length, have
    fewer than two pairs, or one of them is constant.
    """
    first, second = _sample(x), _sample(y)
    if first.size != second.size or first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        raise ValueError("a rank correlation needs pairs of values, and both must vary")
    from scipy import stats

    value, n, method = float(stats.spearmanr(first, second).statistic), first.size, "Spearman, Bonett-Wright interval"
    if n < 4 or abs(value) > 1 - 1e-9:
        return Estimate(value, n, method, None, None, confidence)
    reach = float(special.ndtri((1 + confidence) / 2)) * math.sqrt((1 + value**2 / 2) / (n - 3))
    low, high = (math.tanh(math.atanh(value) + side * reach) for side in (-1, 1))
    return Estimate(value, n, method, low, high, confidence)


def _sample(values: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0 or np.isnan(sample).any():
        raise ValueError("a statistic needs at least one value, and no NaN")
    return sample


def student(value: float, error: float, degrees: float, n: int, method: str, confidence: float, unit: str) -> Estimate:
    """The value with its t interval, without one if the standard error is zero or unknown."""
    if degrees < 1 or not (0 < error < math.inf):
        return Estimate(value, n, method, None, None, confidence, unit)
    reach = float(special.stdtrit(degrees, (1 + confidence) / 2)) * error
    return Estimate(value, n, method, value - reach, value + reach, confidence, unit)


def from_error(
    value: float, relative_error: float | None, n: int, confidence: float = CONFIDENCE, unit: str = ""
) -> Estimate:
    """A mean of n samples that were not kept, with Student's t interval from its relative standard error."""
    error = value * relative_error if relative_error is not None else 0.0
    return student(value, error, n - 1, n, "mean, t interval", confidence, unit)
