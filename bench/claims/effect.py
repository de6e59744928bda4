"""A quantity estimated from runs, with the interval that decides the verdict.

Intervals have 99 %, so that at most one in a hundred claims without any effect is confirmed or refuted by chance.
Adding seeds to those of the matrix is another look at the data and costs confidence: twice the seeds halve each tail.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import special

from bench.claims.claim import LEAST_SEEDS
from bench.statistics import estimates, shift

# The error probability of one tail.
TAIL = 0.005
# The ranks of this many cells agree completely by chance less often than that.
LEAST_CELLS = 6


@dataclass(frozen=True)
class Effect:
    """A quantity of `n` runs (pairs of runs, cells), with the interval from `low` to `high` if there is one.

    `points` are the single values, in the order of `seeds`. An end is infinite if the runs bound the quantity only from
    one side, as with targets that were never reached; `remark` then says so. `scatter` is the standard deviation of the
    points, or of their logarithms if `is_log`; None if more runs would change nothing.
    """

    value: float
    n: int
    method: str
    low: float | None = None
    high: float | None = None
    points: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    remark: str = ""
    scatter: float | None = None
    is_log: bool = False


def tail(n: int, planned: int) -> float:
    """The error probability of each end of the interval with `n` runs, of which `planned` were planned."""
    return TAIL * min(1.0, planned / max(n, 1))


def half_width(scatter: float, n: int, planned: int) -> float:
    """Half of the t interval of `n` values with this standard deviation."""
    # The fastest of SciPy's quantiles: the search for enough runs asks for hundreds.
    return -float(special.stdtrit(n - 1, tail(n, planned))) * scatter / math.sqrt(n)


def counted(value: float, n: int) -> Effect:
    """A quantity that is the same in every run needs no interval."""
    return Effect(value, n, "counted", value, value)


def ratio(of: Mapping[int, float], to: Mapping[int, float], planned: int) -> Effect:
    """The geometric mean of `of` over `to`, in pairs of equal seeds, with Student's paired t of the logarithms.

    Raises ValueError where a value is not positive.
    """
    if min(*of.values(), *to.values()) <= 0:
        raise ValueError("a ratio needs positive values")
    logs = [{seed: math.log(value) for seed, value in arm.items()} for arm in (of, to)]
    return _of_pairs(logs[1], logs[0], planned, "geometric mean of pairs, t interval of logs", is_log=True)


def difference(of: Mapping[int, float], to: Mapping[int, float], planned: int) -> Effect:
    """The mean of `of` minus `to`, in pairs of equal seeds, with Student's paired t."""
    return _of_pairs(to, of, planned, "mean difference of pairs, t interval", is_log=False)


def mean(values: Mapping[int, float], planned: int) -> Effect:
    """The mean, with Student's t."""
    n = len(values)
    estimate = estimates.mean(list(values.values()), confidence=1 - 2 * tail(n, planned))
    low, high = estimate.low, estimate.high
    scatter = None if low is None else (estimate.value - low) / half_width(1.0, n, planned)
    if low is None and n >= LEAST_SEEDS:
        low = high = estimate.value  # all of them are equal
    points, seeds = tuple(values.values()), tuple(values)
    return Effect(estimate.value, n, estimate.method, low, high, points, seeds, scatter=scatter)


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> Effect:
    """Spearman's over cells; raises ValueError for fewer than two, and where one of them never varies."""
    estimate = estimates.rank_correlation(x, y, confidence=1 - 2 * TAIL)
    low, high = estimate.low, estimate.high
    if low is None and estimate.n >= LEAST_CELLS:
        low = high = estimate.value  # all ranks agree, or all disagree
    return Effect(estimate.value, estimate.n, estimate.method, low, high)


def _of_pairs(
    base: Mapping[int, float], head: Mapping[int, float], planned: int, method: str, *, is_log: bool
) -> Effect:
    seeds = [seed for seed in base if seed in head]
    a, b = [base[seed] for seed in seeds], [head[seed] for seed in seeds]
    n, back = len(seeds), (math.exp if is_log else float)
    points = tuple(back(y - x) for x, y in zip(a, b, strict=True))
    if n < 2:
        return Effect(points[0], n, method, points=points, seeds=tuple(seeds), is_log=is_log)
    found = shift.means_of_pairs(a, b)
    low, high = found.interval(tail(n, planned))
    scatter = (high - low) / 2 / half_width(1.0, n, planned)
    return Effect(
        back(found.estimate), n, method, back(low), back(high), points, tuple(seeds), scatter=scatter, is_log=is_log
    )
