"""Sampling until a mean is known precisely enough: when to stop, and how good the samples are.

The sampled function, the clock and the throttle gauge are arguments, so that tests need no real time.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from statistics import fmean, median, stdev

# The relative deviation of single samples is followed over a window. Once it stays within a twentieth of its present
# value, more samples will not reduce it. These figures are nvbench's, and so is checking only every sixteenth sample: a
# test that is repeated often enough comes true by chance.
NOISE_LEAST_SAMPLES = 5
STABLE_WINDOW = 512
STABLE_LEAST = 64
STABLE_EVERY = 16
STABLE_WITHIN = 0.05

# hyperfine's bound: ten standard deviations, estimated as 1.4826 times the median absolute deviation.
OUTLIER_MADS = 10 * 1.4826


class Stop(StrEnum):
    """What ended the sampling."""

    RELATIVE_ERROR = "relative_error"
    STABLE_NOISE = "stable_noise"
    TIMEOUT = "timeout"
    INTERRUPT = "interrupt"


class Condition(StrEnum):
    """A condition that a time-out or an interruption can leave unmet."""

    LEAST_SAMPLES = "least_samples"
    LEAST_TIME = "least_time"
    RELATIVE_ERROR = "relative_error"


class Caution(StrEnum):
    """Something that a reader of the figure should know, and what to do about it."""

    SLOW_FIRST = (
        "the first sample is far slower than the rest: a late warm-up; trust the median, or raise warm_up_steps"
    )
    OUTLIERS = "some samples are far from the median: something else was busy; end it and measure again"
    THROTTLED = "the GPU's clock fell in some samples, which were set aside; let it cool, or raise its power limit"
    SLOWED = "the GPU's clock was down throughout: this is a slowed GPU's speed; let it cool, or raise its power limit"


@dataclass(frozen=True)
class Bounds:
    """When sampling may stop: a relative standard error of the mean below `relative_error`, or steady noise,
    after `least_samples` samples of `least_s` seconds in all; and `timeout_s` after which it stops anyway.

    The least values and the 0.5 % are nvbench's, which applies them to the deviation of single samples.
    """

    relative_error: float = 0.005
    least_samples: int = 10
    least_s: float = 0.5
    timeout_s: float = 60.0


class Criterion:
    """Decides when there are enough samples, in constant time for each new one; modelled on nvbench's `stdrel`.

    The standard error assumes independent samples. Neighbouring samples seldom are: a slow drift is not included.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.n, self.total_s = 0, 0.0
        self.met: Stop | None = None
        self._mean_s = self._squares = 0.0
        self._noise: deque[float] = deque(maxlen=STABLE_WINDOW)

    def add(self, seconds: float) -> None:
        """Add one sample; `met` keeps the first condition that was fulfilled."""
        self.n += 1
        self.total_s += seconds
        # Welford's update: a sum of squares loses its digits when the deviation is small.
        before = seconds - self._mean_s
        self._mean_s += before / self.n
        self._squares += before * (seconds - self._mean_s)
        if self.n >= NOISE_LEAST_SAMPLES and math.isfinite(self.relative_deviation):
            self._noise.append(self.relative_deviation)
        self.met = self.met or self._judge()

    @property
    def relative_deviation(self) -> float:
        """Standard deviation of the samples relative to their mean; infinite with fewer than two samples."""
        if self.n < 2 or self._mean_s <= 0:
            return math.inf
        return math.sqrt(self._squares / (self.n - 1)) / self._mean_s

    def _judge(self) -> Stop | None:
        if self.n < self.bounds.least_samples or self.total_s < self.bounds.least_s:
            return None
        if self.relative_deviation / math.sqrt(self.n) < self.bounds.relative_error:
            return Stop.RELATIVE_ERROR
        if len(self._noise) > STABLE_LEAST and self.n % STABLE_EVERY == 0 and self._noise_is_stable():
            return Stop.STABLE_NOISE
        return None

    def _noise_is_stable(self) -> bool:
        now = self._noise[-1]
        spread = math.sqrt(math.fsum((noise - now) ** 2 for noise in self._noise) / (len(self._noise) - 1))
        return spread < STABLE_WITHIN * now


@dataclass(frozen=True)
class Samples:
    """At least one sample, in seconds and in order, and the number of `throttled` ones that were left out.

    If an arm would have no sample left, none is left out: the samples are `slowed`, and `throttled` counts the slow
    ones.
    """

    seconds: tuple[float, ...]
    stopped_by: Stop
    bounds: Bounds = Bounds()
    throttled: int = 0
    slowed: bool = False

    @property
    def n(self) -> int:
        return len(self.seconds)

    @cached_property
    def mean_s(self) -> float:
        return fmean(self.seconds)

    @cached_property
    def median_s(self) -> float:
        return median(self.seconds)

    @cached_property
    def _sorted(self) -> list[float]:
        return sorted(self.seconds)

    @property
    def min_s(self) -> float:
        return self._sorted[0]

    @property
    def p95_s(self) -> float:
        return self.quantile_s(0.95)

    @property
    def p99_s(self) -> float:
        return self.quantile_s(0.99)

    def quantile_s(self, fraction: float) -> float:
        """The quantile of the samples, interpolated linearly (NumPy's default)."""
        position = fraction * (self.n - 1)
        below, above = self._sorted[math.floor(position)], self._sorted[math.ceil(position)]
        return below + (above - below) * (position - math.floor(position))

    @cached_property
    def relative_error(self) -> float | None:
        """Standard error of the mean relative to the mean; None for a single sample."""
        return stdev(self.seconds) / math.sqrt(self.n) / self.mean_s if self.n > 1 and self.mean_s > 0 else None

    @cached_property
    def outliers(self) -> tuple[int, ...]:
        """Positions of samples too far from the median for ordinary noise; they stay in the statistics."""
        deviations = [abs(seconds - self.median_s) for seconds in self.seconds]
        bound = OUTLIER_MADS * median(deviations)
        return tuple(position for position, deviation in enumerate(deviations) if deviation > bound)

    @property
    def cautions(self) -> list[Caution]:
        slow_first = 0 in self.outliers and self.seconds[0] > self.median_s
        found = {
            Caution.SLOW_FIRST: slow_first,
            Caution.OUTLIERS: len(self.outliers) > slow_first,
            Caution.THROTTLED: self.throttled > 0 and not self.slowed,
            Caution.SLOWED: self.slowed,
        }
        return [caution for caution, holds in found.items() if holds]

    @property
    def unmet(self) -> list[Condition]:
        """The conditions that were not met."""
        if self.stopped_by not in (Stop.TIMEOUT, Stop.INTERRUPT):
            return []
        bounds, error = self.bounds, self.relative_error
        found = {
            Condition.LEAST_SAMPLES: self.n < bounds.least_samples,
            Condition.LEAST_TIME: math.fsum(self.seconds) < bounds.least_s,
            Condition.RELATIVE_ERROR: error is None or error >= bounds.relative_error,
        }
        return [condition for condition, holds in found.items() if holds]

    def notes(self) -> list[str]:
        """Everything a reader should know about these samples, as clauses."""
        shown = "unknown" if self.relative_error is None else f"{self.relative_error:.2%}"
        error = f"relative standard error {shown}, not below {self.bounds.relative_error:.2%}"
        words = {
            Condition.LEAST_SAMPLES: f"{self.n} of at least {self.bounds.least_samples} samples",
            Condition.LEAST_TIME: f"{math.fsum(self.seconds):.3g} of at least {self.bounds.least_s:g} s",
            Condition.RELATIVE_ERROR: error,
        }
        unmet = ", ".join(words[condition] for condition in self.unmet)
        stopped = {
            Stop.RELATIVE_ERROR: [],
            Stop.STABLE_NOISE: [f"stopped because the noise is steady, with {error}"],
            Stop.TIMEOUT: [f"stopped by the time-out of {self.bounds.timeout_s:g} s with {unmet}"],
            Stop.INTERRUPT: [f"interrupted with {unmet}" if unmet else "interrupted"],
        }
        return stopped[self.stopped_by] + [caution.value for caution in self.cautions]

    def quality(self, prefix: str = "") -> dict[str, float | int | bool | None]:
        """The quality of the figure, as flat metrics."""
        quality = {
            "n": self.n,
            "relative_error": self.relative_error,
            "timed_out": self.stopped_by is Stop.TIMEOUT,
            "outliers": len(self.outliers),
            "throttled": self.throttled,
        }
        return {prefix + name: value for name, value in quality.items()}


def sample(
    arms: Mapping[str, Callable[[], float]],
    bounds: Bounds = Bounds(),
    throttled: Callable[[], bool] = lambda: False,
    now: Callable[[], float] = time.monotonic,
    keep: Callable[[dict[str, Samples]], None] = lambda _: None,
) -> dict[str, Samples]:
    """Sample the arms in turns until the mean of each is precise enough or time is up, at least once.

    Calling an arm takes one sample and returns its seconds. Each round samples every arm once, in the opposite order of
    the previous round, so that a drift of the machine affects all arms alike and none always comes second. A sample is
    left out if `throttled` is true after it. If that would leave an arm without samples, all samples of all arms are
    kept, because only figures of the same clock can be compared. The deadline is checked between rounds.

    `keep` receives the result. On a KeyboardInterrupt, which is raised again, it receives the samples so far if every
    arm has one.
    """
    every: dict[str, list[float]] = {name: [] for name in arms}
    kept: dict[str, list[float]] = {name: [] for name in arms}
    criteria = {name: Criterion(bounds) for name in arms}
    order = list(arms)
    deadline_s = now() + bounds.timeout_s

    def taken(stop: Stop) -> dict[str, Samples]:
        slowed = not all(kept.values())
        return {
            name: Samples(
                tuple(every[name] if slowed else kept[name]),
                criteria[name].met or stop,
                bounds,
                len(every[name]) - len(kept[name]),
                slowed,
            )
            for name in arms
        }

    try:
        while True:
            for name in order:
                seconds = arms[name]()
                every[name].append(seconds)
                if not throttled():
                    kept[name].append(seconds)
                    criteria[name].add(seconds)
            order.reverse()
            if all(criterion.met for criterion in criteria.values()) or now() >= deadline_s:
                break
    except KeyboardInterrupt:
        if all(every.values()):
            keep(taken(Stop.INTERRUPT))
        raise
    samples = taken(Stop.TIMEOUT)
    keep(samples)
    return samples
