"""Compares two recipes at the same accuracy, whose runs are whole trainings of a few lengths."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import UsageError
from bench.gate.compare import of_another_machine
from bench.gate.length_unit import SECONDS, LengthUnit
from bench.gate.quantity import TIME_MARGIN
from bench.gate.report import NOT_DECIDED, Unsure
from bench.gate.source import Result
from bench.gate.verdict import Verdict
from bench.statistics.estimates import Estimate
from bench.statistics.exchange_rate import NoRate, Slope, Trend, length_at, rate_at, ratio_at, slopes

# The last part of keys that say how long a training is.
EPOCHS = "epochs"
MOST_TOLD = 3


@dataclass(frozen=True)
class RecipeSide:
    """The runs of one recipe: how many, at which numbers of epochs (empty if unknown), and what accuracy costs it.

    `length` is that at the target, in the comparison's unit. `per_length` and `per_epoch` are the rise of the accuracy
    there, as a fraction of 1, with one more unit or epoch. `left_out` counts runs with an accuracy that is not finite,
    or without a recorded length.
    """

    name: str
    n: int
    epochs: tuple[float, ...]
    length: Estimate
    per_length: Estimate
    per_epoch: Estimate | None
    is_extrapolated: bool
    left_out: int


@dataclass(frozen=True)
class EqualAccuracy:
    """The two recipes at the target, and the length of head over that of base there; `unsure` says how no verdict
    counts."""

    target: float
    unit: LengthUnit
    base: RecipeSide
    head: RecipeSide
    ratio: Estimate
    shares_rate: bool
    margin: float
    unsure: Unsure = "say"

    @property
    def verdict(self) -> Verdict:
        """Of head: worse is longer. The same is what surely differs by less than the margin."""
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
    unit: LengthUnit = SECONDS,
) -> EqualAccuracy:
    """Raises `UsageError` for sides that are not one recipe each, or do not tell what accuracy costs."""
    any_machine = any_machine or not unit.depends_on_machine
    if not any_machine and (why := of_another_machine(base, head)):
        raise UsageError(f"--at-accuracy: {why}; --any-machine compares all the same")
    trends = []
    for name, side in zip(names, (base, head), strict=True):
        _check_one_recipe(name, side)
        trends.append(_trend(name, side, unit))
    try:
        both = slopes(*trends)
        ratio = ratio_at(target, *trends)
        sides = [
            _side(name, side, target, trend, slope, unit)
            for name, side, trend, slope in zip(names, (base, head), trends, both, strict=True)
        ]
    except NoRate as error:
        raise UsageError(f"--at-accuracy: {error}") from None
    used = TIME_MARGIN if margin is None else margin
    return EqualAccuracy(target, unit, sides[0], sides[1], ratio, both[0].shared, used, unsure)


def _check_one_recipe(name: str, side: Sequence[Result]) -> None:
    """Raise `UsageError` unless the results are of one recipe, at whatever lengths, and of a measure with a time."""
    measures = sorted({result.measure for result in side})
    if len(measures) > 1 or measures[0] not in SECONDS.metrics:
        raise UsageError(
            f"--at-accuracy: {name} has {' and '.join(measures)}; give runs of trainings, of one measure, as in "
            f"{name},measure=time_to_accuracy"
        )
    every = dict.fromkeys(key for result in side for key in result.config if key.rpartition(".")[2] != EPOCHS)
    keys = [key for key in every if len({repr(result.config.get(key)) for result in side}) > 1]
    if keys:
        raise UsageError(
            f"--at-accuracy: {name} has runs of several recipes, which differ in {', '.join(keys[:MOST_TOLD])}; they "
            f"may differ in {EPOCHS} alone: choose by a condition, such as {keys[0]}=…"
        )
    if any(result.config.get("stop_at_target") for result in side):
        raise UsageError(f"--at-accuracy: {name} has runs that stop at their target; set stop_at_target to false")


def _trend(name: str, side: Sequence[Result], unit: LengthUnit) -> Trend:
    metric = unit.metrics.get(side[0].measure)
    if metric is None:
        raise UsageError(
            f"--by {unit.name}: {name} has runs of a command, which records no {unit.noun}; "
            f"leave out --by, so that they are compared by {SECONDS.name}"
        )
    known = [(_asked(result), *pair) for result in side if (pair := _numbers(result.metrics, metric)) is not None]
    if not known:
        raise UsageError(
            f"--at-accuracy: no run of {name} has both {metric} and an accuracy; failed runs and those of "
            "older versions may lack them: run it again"
        )
    asked, lengths, accuracies = zip(*known, strict=True)
    return Trend.of(lengths, accuracies, asked)


def _asked(result: Result) -> tuple[tuple[str, Any], ...]:
    """The length that a run was given: its config's epochs."""
    return tuple(sorted((key, value) for key, value in result.config.items() if key.rpartition(".")[2] == EPOCHS))


def _numbers(metrics: Mapping[str, Any] | None, metric: str) -> tuple[float, float] | None:
    """The length and the accuracy of a run; None if it lacks one of them."""
    length, accuracy = (metrics or {}).get(metric), (metrics or {}).get("accuracy")
    if not length or accuracy is None or not math.isfinite(accuracy):
        return None
    return float(length), float(accuracy)


def _side(name: str, side: Sequence[Result], target: float, trend: Trend, slope: Slope, unit: LengthUnit) -> RecipeSide:
    length = length_at(target, trend, slope, unit.symbol)
    metric = unit.metrics[side[0].measure]
    with_accuracy = sum((result.metrics or {}).get("accuracy") is not None for result in side)
    side = [result for result in side if _numbers(result.metrics, metric) is not None]  # as in the trend
    epochs = [(result.metrics or {}).get("epochs") for result in side]
    known = [float(one) for one in epochs if one]
    per_epoch = None
    if len(known) == len(side):
        # At the target as many epochs as its length is of the mean run's length.
        mean = math.exp(math.fsum(map(math.log, known)) / len(known))
        at_target = mean * length.value / math.exp(trend.mean_x)
        per_epoch = rate_at(at_target, trend, slope, "1/epoch")
    reached = [result.metrics["accuracy"] for result in side if result.metrics]
    return RecipeSide(
        name,
        trend.n,
        tuple(sorted({round(one, 6) for one in known})),
        length,
        rate_at(length.value, trend, slope, f"1/{unit.symbol}"),
        per_epoch,
        is_extrapolated=not min(reached) <= target <= max(reached),
        left_out=with_accuracy - trend.n,
    )
