"""Compares two recipes at the same accuracy, whose runs are whole trainings of a few lengths."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import UsageError
from bench.gate.compare import of_another_machine
from bench.gate.quantity import TIME_MARGIN
from bench.gate.report import NOT_DECIDED, Unsure
from bench.gate.source import Result
from bench.gate.verdict import Verdict
from bench.statistics.estimates import Estimate
from bench.statistics.exchange_rate import NoRate, Slope, Trend, length_at, rate_at, ratio_at, slopes

# The metric that says how long a training took, by measure.
TIMES = {"time_to_accuracy": "train_s", "command": "wall_s"}
# The last part of keys that say how long a training is.
LENGTH = "epochs"
MOST_TOLD = 3


@dataclass(frozen=True)
class RecipeSide:
    """The runs of one recipe: how many, at which lengths (epochs, None if unknown), and what accuracy costs it.

    `points_per_s` and `points_per_epoch` are fractions of accuracy at the target.
    """

    name: str
    n: int
    lengths: tuple[float, ...]
    time_s: Estimate
    points_per_s: Estimate
    points_per_epoch: Estimate | None
    is_extrapolated: bool


@dataclass(frozen=True)
class EqualAccuracy:
    """The two recipes at the target, and the time of head over that of base there; `unsure` says how no verdict
    counts."""

    target: float
    base: RecipeSide
    head: RecipeSide
    ratio: Estimate
    shares_rate: bool
    margin: float
    unsure: Unsure = "say"

    @property
    def verdict(self) -> Verdict:
        """Of head: worse is slower. The same is what surely differs by less than the margin."""
        low, high = self.ratio.low, self.ratio.high
        if low is None or high is None:
            return Verdict.UNSURE
        if 1 / (1 + self.margin) <= low and high <= 1 + self.margin:
            return Verdict.SAME
        return Verdict.WORSE if low > 1 else Verdict.BETTER if high < 1 else Verdict.UNSURE

    @property
    def exit_code(self) -> int:
        """As that of the gate's report: an open question is no failure unless asked."""
        if self.verdict is Verdict.WORSE:
            return 1
        if self.verdict is not Verdict.UNSURE:
            return 0
        return {"fail": 1, "own-code": NOT_DECIDED}.get(self.unsure, 0)


def compare_at(
    target: float,
    base: Sequence[Result],
    head: Sequence[Result],
    names: tuple[str, str],
    margin: float | None = None,
    unsure: Unsure = "say",
    any_machine: bool = False,
) -> EqualAccuracy:
    """Raises `UsageError` for sides that are not one recipe each, or do not tell what accuracy costs."""
    if not any_machine and (why := of_another_machine(base, head)):
        raise UsageError(f"--at-accuracy: {why}; --any-machine compares all the same")
    trends = []
    for name, side in zip(names, (base, head), strict=True):
        _check_one_recipe(name, side)
        trends.append(_trend(name, side, TIMES[side[0].measure]))
    try:
        both = slopes(*trends)
        ratio = ratio_at(target, *trends)
    except NoRate as error:
        raise UsageError(f"--at-accuracy: {error}") from None
    sides = [
        _side(name, side, target, trend, slope)
        for name, side, trend, slope in zip(names, (base, head), trends, both, strict=True)
    ]
    used = TIME_MARGIN if margin is None else margin
    return EqualAccuracy(target, sides[0], sides[1], ratio, both[0].shared, used, unsure)


def _check_one_recipe(name: str, side: Sequence[Result]) -> None:
    """Raise `UsageError` unless the results are of one recipe, at whatever lengths, and of a measure with a time."""
    measures = sorted({result.measure for result in side})
    if len(measures) > 1 or measures[0] not in TIMES:
        raise UsageError(
            f"--at-accuracy: {name} has {' and '.join(measures)}; give runs of trainings, of one measure, as in "
            f"{name},measure=time_to_accuracy"
        )
    every = dict.fromkeys(key for result in side for key in result.config if key.rpartition(".")[2] != LENGTH)
    keys = [key for key in every if len({repr(result.config.get(key)) for result in side}) > 1]
    if keys:
        raise UsageError(
            f"--at-accuracy: {name} has runs of several recipes, which differ in {', '.join(keys[:MOST_TOLD])}; they "
            f"may differ in {LENGTH} alone: choose by a condition, such as {keys[0]}=…"
        )
    if any(result.config.get("stop_at_target") for result in side):
        raise UsageError(f"--at-accuracy: {name} has runs that stop at their target; set stop_at_target to false")


def _trend(name: str, side: Sequence[Result], time: str) -> Trend:
    known = [(_asked(result), *pair) for result in side if (pair := _numbers(result.metrics, time)) is not None]
    if not known:
        raise UsageError(f"--at-accuracy: no run of {name} has both {time} and an accuracy")
    asked, seconds, accuracies = zip(*known, strict=True)
    return Trend.of(seconds, accuracies, asked)


def _asked(result: Result) -> tuple[tuple[str, Any], ...]:
    """The length that a run was given: its config's epochs."""
    return tuple(sorted((key, value) for key, value in result.config.items() if key.rpartition(".")[2] == LENGTH))


def _numbers(metrics: Mapping[str, Any] | None, time: str) -> tuple[float, float] | None:
    """The seconds and the accuracy of a run; None if it lacks one of them."""
    seconds, accuracy = (metrics or {}).get(time), (metrics or {}).get("accuracy")
    if not seconds or accuracy is None or not math.isfinite(accuracy):
        return None
    return float(seconds), float(accuracy)


def _side(name: str, side: Sequence[Result], target: float, trend: Trend, slope: Slope) -> RecipeSide:
    time_s = length_at(target, trend, slope)
    side = [result for result in side if _numbers(result.metrics, TIMES[result.measure]) is not None]  # as in the trend
    epochs = [(result.metrics or {}).get("epochs") for result in side]
    known = [float(one) for one in epochs if one]
    per_epoch = None
    if len(known) == len(side):
        # At the target as many epochs as its seconds are of the mean run's seconds.
        mean = math.exp(math.fsum(map(math.log, known)) / len(known))
        at_target = mean * time_s.value / math.exp(trend.mean_x)
        per_epoch = rate_at(at_target, trend, slope, "1/epoch")
    reached = [accuracy for result in side if (accuracy := (result.metrics or {}).get("accuracy")) is not None]
    lengths = tuple(sorted({round(one, 6) for one in known}))
    outside = not min(reached) <= target <= max(reached)
    return RecipeSide(name, trend.n, lengths, time_s, rate_at(time_s.value, trend, slope, "1/s"), per_epoch, outside)
