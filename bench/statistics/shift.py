"""The shift between two samples: an estimate with the test and the interval that belong to it.

The two rank methods hold for noise of any shape, which timings need; the method of means is for accuracies.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from scipy import special

Floats = np.ndarray[Any, np.dtype[np.float64]]

# Above these sizes the normal approximation of the rank distributions is accurate to all digits shown.
EXACT_PAIRS = 60
EXACT_EACH = 40
# Accuracies that differ by less are equal up to the last bits of a float32.
ROUNDING = 1e-7


class Shift(Protocol):
    """How much the second sample is above the first."""

    @property
    def n(self) -> int:
        """The number of pairs, or of values in the smaller sample."""

    @property
    def estimate(self) -> float: ...

    def p_above(self, bound: float = 0.0) -> float:
        """The probability of a shift that looks this large, if the true shift is at most `bound`."""

    def p_below(self, bound: float = 0.0) -> float:
        """The probability of a shift that looks this small, if the true shift is at least `bound`."""

    def interval(self, level: float) -> tuple[float, float]:
        """The shifts that no one-sided test at `level` excludes; infinite if n is too small for such a test."""


class PairShift:
    """A shift of pairs, by the ranks of their `differences`.

    The test sums a score for each difference above the bound: the rank of its distance, but at most half the number of
    pairs. A pair in which one side had a hiccup therefore weighs no more than any large difference; with Wilcoxon's
    scores two such pairs out of twenty hide any change. Ties and zeros count as evidence for no shift, so p is never
    too small.
    """

    def __init__(self, differences: Floats) -> None:
        self.n, self._differences = differences.size, differences
        self._scores = np.minimum(np.arange(1, self.n + 1), _cap(self.n))
        self._survival = _pair_survival(self.n)

    def p_above(self, bound: float = 0.0) -> float:
        return float(self._survival[self._score_above(np.array([bound]))[0]])

    def p_below(self, bound: float = 0.0) -> float:
        return PairShift(-self._differences).p_above(-bound)

    @property
    def estimate(self) -> float:
        half = self._total / 2
        return float(self._last_step_with(half) + self._first_step_with(half)) / 2

    def interval(self, level: float) -> tuple[float, float]:
        needed = int(np.searchsorted(-self._survival, -level, "left"))
        if needed > self._total:
            return -math.inf, math.inf
        return self._last_step_with(needed), self._first_step_with(self._total - needed)

    @property
    def _total(self) -> int:
        return int(self._scores.sum())

    @functools.cached_property
    def _steps(self) -> Floats:
        """The bounds at which the score changes: the differences, and the midpoints of any two."""
        first, second = np.triu_indices(self.n)
        steps: Floats = np.unique((self._differences[first] + self._differences[second]) / 2)
        return steps

    def _last_step_with(self, score: float) -> float:
        """The last step below which the score is at least this large."""
        position = bisect.bisect_right(range(self._steps.size), -score, key=lambda step: -self._below(step))
        return float(self._steps[position - 1])

    def _first_step_with(self, score: float) -> float:
        """The first step above which the score is at most this large."""
        position = bisect.bisect_left(range(1, self._steps.size + 1), -score, key=lambda step: -self._below(step))
        return float(self._steps[position])

    def _below(self, step: int) -> int:
        """The score between step number `step` and the one before; it falls with rising numbers.

        Evaluated at the midpoint, because at a step two distances are equal up to rounding.
        """
        if step in (0, self._steps.size):
            return 0 if step else self._total
        middle = (self._steps[step - 1] + self._steps[step]) / 2
        return int(self._score_above(np.array([middle]))[0])

    def _score_above(self, bounds: Floats) -> Any:
        """The score for bounds just above those given."""
        distances = self._differences[None, :] - bounds[:, None]
        is_below = distances <= 0
        # Just above the bound, a value above is nearer than one that lies equally far below.
        order = np.lexsort((is_below, np.abs(distances)), axis=-1)
        return np.where(np.take_along_axis(is_below, order, axis=-1), 0, self._scores).sum(axis=-1)


class RankShift:
    """A shift of two samples, by the ranks: `steps` are the differences of which the median is the estimate.

    `survival[k]` is the probability, without any shift, that k or more of them are above zero. Ties count as no shift.
    """

    def __init__(self, steps: Floats, survival: Floats, n: int) -> None:
        self.n, self._steps, self._survival = n, np.sort(steps), survival

    @property
    def estimate(self) -> float:
        return float(np.median(self._steps))

    def p_above(self, bound: float = 0.0) -> float:
        return float(self._survival[self._steps.size - np.searchsorted(self._steps, bound, "right")])

    def p_below(self, bound: float = 0.0) -> float:
        return float(self._survival[np.searchsorted(self._steps, bound, "left")])

    def interval(self, level: float) -> tuple[float, float]:
        needed = int(np.searchsorted(-self._survival, -level, "left"))  # the number above zero that is significant
        if needed > self._steps.size:
            return -math.inf, math.inf
        return float(self._steps[self._steps.size - needed]), float(self._steps[needed - 1])


class MeanShift:
    """A shift of the means, with Student's t."""

    def __init__(self, estimate: float, error: float, degrees: float, n: int) -> None:
        self.n, self.estimate, self._error, self._degrees = n, estimate, error, degrees

    def p_above(self, bound: float = 0.0) -> float:
        if self._error == 0:
            return 0.0 if self.estimate > bound else 1.0
        return float(special.stdtr(self._degrees, (bound - self.estimate) / self._error))

    def p_below(self, bound: float = 0.0) -> float:
        if self._error == 0:
            return 0.0 if self.estimate < bound else 1.0
        return float(special.stdtr(self._degrees, (self.estimate - bound) / self._error))

    def interval(self, level: float) -> tuple[float, float]:
        reach = -float(special.stdtrit(self._degrees, level)) * self._error if self._error else 0.0
        return self.estimate - reach, self.estimate + reach


def of_pairs(base: Sequence[float], head: Sequence[float]) -> PairShift:
    """Of pairs measured next to each other: a signed-rank test with Winsorised scores (Policello and Hettmansperger,
    JASA 71, 1976), and the estimate and the interval that belong to it (Hodges and Lehmann, Annals of Mathematical
    Statistics 34, 1963).

    Exact if each pair is equally likely to differ in either direction, which holds for equal code and any noise.
    """
    return PairShift(np.asarray(head, np.float64) - np.asarray(base, np.float64))


def of_two(base: Sequence[float], head: Sequence[float]) -> RankShift:
    """Of two samples that were measured apart: the test of Mann and Whitney (Annals of Mathematical Statistics 18,
    1947), with the estimate and the interval of Hodges and Lehmann (1963)."""
    a, b = np.asarray(base, np.float64), np.asarray(head, np.float64)
    steps = (b[:, None] - a[None, :]).ravel()
    return RankShift(steps, _rank_sum_survival(*sorted((a.size, b.size))), min(a.size, b.size))


def means_of_pairs(base: Sequence[float], head: Sequence[float], counted: bool = True) -> MeanShift:
    """Of pairs, by Student's paired t (Biometrika 6, 1908); needs two. `counted` values are shares of test images."""
    a, b = np.asarray(base, np.float64), np.asarray(head, np.float64)
    n = a.size
    variance = _variance(b - a) + (2 * _rounding_variance(a, b) if counted else 0.0)
    return MeanShift(float((b - a).mean()), math.sqrt(variance / n), n - 1, n)


def means_of_two(base: Sequence[float], head: Sequence[float], counted: bool = True) -> MeanShift:
    """Of two samples, by Welch's t (Biometrika 34, 1947), which lets them vary differently; needs two of each."""
    a, b = np.asarray(base, np.float64), np.asarray(head, np.float64)
    rounding = _rounding_variance(a, b) if counted else 0.0
    of_a, of_b = (_variance(a) + rounding) / a.size, (_variance(b) + rounding) / b.size
    error = math.sqrt(of_a + of_b)
    degrees = error**4 / (of_a**2 / (a.size - 1) + of_b**2 / (b.size - 1)) if error else 1.0
    return MeanShift(float(b.mean() - a.mean()), error, degrees, min(a.size, b.size))


def _variance(values: Floats) -> float:
    """The variance, exactly 0 for equal values; NumPy's result is not always."""
    return float(values.var(ddof=1)) if np.ptp(values) > 0 else 0.0


def _rounding_variance(a: Floats, b: Floats) -> float:
    """The variance that counting whole test images hides: that of a uniform error one step wide.

    The step is the smallest difference between any two values. Without this term, three accuracies that happen to fall
    by the same number of images would have no variance and count as certain.
    """
    gaps = np.diff(np.unique(np.concatenate([a, b])))
    gaps = gaps[gaps > ROUNDING]
    return float(gaps.min()) ** 2 / 12 if gaps.size else 0.0


def _cap(n: int) -> int:
    return (n + 1) // 2


@functools.cache
def _pair_survival(n: int) -> Floats:
    """P(T >= k) for k = 0 … most + 1, by adding one score after the other, above or below with equal probability."""
    scores = [min(rank, _cap(n)) for rank in range(1, n + 1)]
    if n > EXACT_PAIRS:
        return _normal_survival(sum(scores), sum(score**2 for score in scores) / 4)
    chances = np.ones(1)
    for score in scores:
        chances = (np.append(chances, np.zeros(score)) + np.append(np.zeros(score), chances)) / 2
    return _at_least(chances)


@functools.cache
def _rank_sum_survival(few: int, many: int) -> Floats:
    """P(U >= k) for k = 0 … few · many + 1, by recursion on which sample has the largest value."""
    if few > EXACT_EACH or many > EXACT_EACH:
        return _normal_survival(few * many, few * many * (few + many + 1) / 12)
    row = [np.ones(1) for _ in range(many + 1)]
    for i in range(1, few + 1):
        above = row
        row = [np.ones(1)]
        for j in range(1, many + 1):
            largest_is_first = np.append(np.zeros(j), above[j]) * i / (i + j)
            largest_is_second = np.append(row[j - 1], np.zeros(i)) * j / (i + j)
            row.append(largest_is_first + largest_is_second)
    return _at_least(row[many])


def _at_least(chances: Floats) -> Floats:
    return np.append(np.cumsum(chances[::-1])[::-1], 0.0)


def _normal_survival(most: int, variance: float) -> Floats:
    k = np.arange(most + 2)
    survival: Floats = special.ndtr(-(k - 0.5 - most / 2) / math.sqrt(variance))
    survival[0], survival[-1] = 1.0, 0.0
    return survival
