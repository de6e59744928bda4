"""What quality costs: how it changes with the length of a training, and how long a training takes to reach a target.

Quality is an accuracy or a cross-entropy; a longer training has more of the one and less of the other. Near a target it
is taken to be a straight line in the logarithm of the length (seconds or FLOPs), with the same scatter at every length.
The runs are whole trainings of a few lengths, not epochs of one. Where the line crosses the target is known with
Fieller's interval (Biometrics 10, 1954), as in a bioassay; it is exact for normal qualities.
tests/bench/statistics/test_exchange_rate.py measures how often the intervals cover the truth.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from bench.statistics.estimates import CONFIDENCE, Estimate

# With a single degree of freedom the scatter is hardly known: of the finite intervals simulated with 0.15 points of
# scatter, a tenth to a quarter missed the truth.
LEAST_DEGREES = 2
# A length that is so many times one of the runs' is not extrapolated to.
FARTHEST = 1000.0


class NoRate(ValueError):
    """The runs do not tell what quality costs: too few lengths or runs, or a quality that does not change."""


@dataclass(frozen=True)
class Trend:
    """The runs of one recipe: sums of squares and products around the means of x, a logarithm, and y, a quality."""

    n: int
    mean_x: float
    mean_y: float
    xx: float
    xy: float
    yy: float

    @classmethod
    def of(cls, lengths: Sequence[float], qualities: Sequence[float], asked: Sequence[Hashable] | None = None) -> Trend:
        """`asked` are the lengths that the runs were given; if they are all alike, a change is chance and left out.

        Raises ValueError for lengths that are not positive.
        """
        if len(lengths) == 0 or min(lengths) <= 0:
            raise ValueError("a trend needs positive lengths")
        x, y = np.log(np.asarray(lengths, dtype=np.float64)), np.asarray(qualities, dtype=np.float64)
        from_x, from_y = x - x.mean(), y - y.mean()
        varies = len(set(asked if asked is not None else lengths)) > 1
        xx, xy = (float(from_x @ from_x), float(from_x @ from_y)) if varies else (0.0, 0.0)
        sums = xx, xy, float(from_y @ from_y)
        return cls(x.size, float(x.mean()), float(y.mean()), *sums)

    def unexplained(self, slope: float) -> float:
        """The sum of squares that a line of this slope leaves."""
        return max(self.yy - 2 * slope * self.xy + slope**2 * self.xx, 0.0)


@dataclass(frozen=True)
class Slope:
    """The change of quality for each unit of x, never 0, with the scatter around it; `shared` by both recipes."""

    value: float
    xx: float
    variance: float
    degrees: int
    shared: bool

    @property
    def quantile(self) -> float:
        return float(special.stdtrit(self.degrees, (1 + CONFIDENCE) / 2))

    @property
    def uncertainty(self) -> float:
        """Fieller's g: the squared half-width of the slope's interval relative to the slope; from 1 on, the slope may
        be zero and nothing is known of lengths."""
        return self.quantile**2 * self.variance / (self.value**2 * self.xx)

    def of_length(self, difference: float, n_inverse: float) -> tuple[float, float] | None:
        """The interval of `difference` of qualities over the slope; `n_inverse` is its variance over that of a run."""
        g, ratio = self.uncertainty, difference / self.value
        if self.degrees < LEAST_DEGREES or g >= 1:
            return None
        spread = math.sqrt((1 - g) * n_inverse + difference**2 / (self.value**2 * self.xx))
        reach = self.quantile * math.sqrt(self.variance) / abs(self.value) * spread
        return (ratio - reach) / (1 - g), (ratio + reach) / (1 - g)


def slopes(*trends: Trend, share: bool = False) -> list[Slope]:
    """The slope of each recipe; a shared one if asked, if some recipe has only one length, or the runs are too few.

    Scatter is estimated from all runs. Raises `NoRate`.
    """
    n, varied = sum(trend.n for trend in trends), [trend for trend in trends if trend.xx > 0]
    if not varied:
        raise NoRate("all runs are of one length; run at least one recipe at two or more numbers of epochs")
    shared = share or len(varied) < len(trends) or n - 2 * len(trends) < LEAST_DEGREES
    xx, xy = sum(trend.xx for trend in trends), sum(trend.xy for trend in trends)
    values = [xy / xx if shared else trend.xy / trend.xx for trend in trends]
    degrees = n - len(trends) - (1 if shared else len(trends))
    if degrees < 1:
        raise NoRate(f"{n} runs are too few to tell chance from a change; run more seeds")
    if 0.0 in values:
        raise NoRate("runs of different lengths are equally good; take lengths that differ more, or more seeds")
    left = sum(trend.unexplained(value) for trend, value in zip(trends, values, strict=True))
    # Equal qualities have no scatter; a line through them is as exact as rounding.
    variance = max(left / degrees, 1e-30)
    return [
        Slope(value, xx if shared else trend.xx, variance, degrees, shared)
        for trend, value in zip(trends, values, strict=True)
    ]


def length_at(target: float, trend: Trend, slope: Slope, unit: str) -> Estimate:
    """The length at which the quality is the target on average. Raises `NoRate` for one far from the runs'."""
    difference = target - trend.mean_y
    if abs(difference / slope.value) > math.log(FARTHEST):
        raise NoRate(f"{target:g} is too far from what the runs reach; choose a target that they nearly reach")
    value = math.exp(trend.mean_x + difference / slope.value)
    bounds = slope.of_length(difference, 1 / trend.n)
    low, high = (None, None) if bounds is None else (_exp(trend.mean_x + bound) for bound in bounds)
    return Estimate(value, trend.n, "length at the target, Fieller interval", low, high, unit=unit)


def rate_at(length: float, trend: Trend, slope: Slope, unit: str) -> Estimate:
    """By how much the quality changes with one more unit of length, at this length."""
    value, method = slope.value / length, "slope over the logarithm, t interval"
    if slope.degrees < LEAST_DEGREES:
        return Estimate(value, trend.n, method, unit=unit)
    reach = slope.quantile * math.sqrt(slope.variance / slope.xx) / length
    return Estimate(value, trend.n, method, value - reach, value + reach, unit=unit)


def chance_of_slopes(base: Trend, head: Trend) -> float | None:
    """The p-value of slopes that differ so much although the lines are parallel, by a t test; None if nobody can tell.

    With few runs it is weak: a large value does not show that the lines are parallel.
    """
    degrees = base.n + head.n - 4
    if degrees < LEAST_DEGREES or not base.xx or not head.xx:
        return None
    one, other = slopes(base, head)
    t = (one.value - other.value) / math.sqrt(one.variance * (1 / base.xx + 1 / head.xx))
    return 2 * float(special.stdtr(degrees, -abs(t)))


def ratio_at(target: float, base: Trend, head: Trend, share: bool = False) -> Estimate:
    """The length of head over that of base at which both reach the target.

    With a slope of its own for each, both intervals are combined (MOVER: Zou and Donner, 2008). With a shared one the
    ratio is that of parallel lines, which is the same at every target. Raises `NoRate`.
    """
    of_base, of_head = slopes(base, head, share=share)
    n = base.n + head.n
    if of_base.shared:
        difference = head.mean_y - base.mean_y
        log_ratio = head.mean_x - base.mean_x - difference / of_base.value
        bounds = of_base.of_length(difference, 1 / base.n + 1 / head.n)
        low, high = (None, None) if bounds is None else (_exp(head.mean_x - base.mean_x - one) for one in bounds[::-1])
        return Estimate(math.exp(log_ratio), n, "ratio of parallel lines, Fieller interval", low, high)
    first, second = length_at(target, base, of_base, ""), length_at(target, head, of_head, "")
    value, method = second.value / first.value, "ratio at the target, MOVER of Fieller intervals"
    if None in (first.low, second.low):
        return Estimate(value, n, method)
    below = math.hypot(_log(second.value, second.low), _log(first.high, first.value))
    above = math.hypot(_log(second.high, second.value), _log(first.value, first.low))
    return Estimate(value, n, method, value * _exp(-below), value * _exp(above))


def _log(larger: Any, smaller: Any) -> float:
    return math.inf if larger == math.inf or smaller == 0 else math.log(larger / smaller)


def _exp(power: float) -> float:
    try:
        return math.exp(power)
    except OverflowError:
        return math.inf
