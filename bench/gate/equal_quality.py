"""Compares two recipes at the same accuracy or cross-entropy, whose runs are whole trainings of a few lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import UsageError
from bench.gate.comparability import reservations
from bench.gate.conditions import of_another_machine
from bench.gate.length_unit import SECONDS, LengthUnit
from bench.gate.quality_metric import ACCURACY, QualityMetric
from bench.gate.quantity import TIME_MARGIN
from bench.gate.report import NOT_DECIDED, Unsure
from bench.gate.source import Result
from bench.gate.verdict import Verdict
from bench.statistics.estimates import Estimate
from bench.statistics.exchange_rate import (
    NoRate,
    Slope,
    Trend,
    chance_of_slopes,
    length_at,
    rate_at,
    ratio_at,
    slopes,
)

# The last part of keys that say how long a training is.
EPOCHS = "epochs"
MOST_TOLD = 3


@dataclass(frozen=True)
class Terms:
    """On what terms two recipes are compared: both reach `target` of `metric`, and `unit` counts their lengths.

    With `share_rate` both are taken to improve at the same rate with the logarithm of the length.
    """

    target: float
    metric: QualityMetric = ACCURACY
    unit: LengthUnit = SECONDS
    share_rate: bool = False


@dataclass(frozen=True)
class RecipeSide:
    """The runs of one recipe: how many, at which numbers of epochs (empty if unknown), and what quality costs it.

    `length` is that at the target, in the comparison's unit. `per_length` and `per_epoch` are the change of the quality
    there, in its metric's own unit, with one more unit or epoch. `left_out` counts finished runs that lack a recorded
    length or a finite quality.
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
class EqualQuality:
    """The two recipes at the target, and the length of head over that of base there.

    `rates_p_value` is the probability that equal rates would seem to differ as much; None if the runs are too few for
    it. `unsure` says how no verdict counts. `notes` say why the two may not be equally good at the target.
    """

    terms: Terms
    base: RecipeSide
    head: RecipeSide
    ratio: Estimate
    shares_rate: bool
    rates_p_value: float | None
    margin: float
    unsure: Unsure = "say"
    notes: tuple[str, ...] = ()

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
    terms: Terms,
    base: Sequence[Result],
    head: Sequence[Result],
    names: tuple[str, str],
    margin: float | None = None,
    unsure: Unsure = "say",
    any_machine: bool = False,
) -> EqualQuality:
    """Raises `UsageError` for sides that are not one recipe each, or do not tell what quality costs."""
    try:
        if terms.unit.depends_on_machine and not any_machine and (why := of_another_machine(base, head)):
            raise UsageError(f"{why}; --any-machine compares all the same")
        for name, side in zip(names, (base, head), strict=True):
            _check_one_recipe(name, side)
        trends = [_trend(name, side, terms) for name, side in zip(names, (base, head), strict=True)]
        both = slopes(*trends, share=terms.share_rate)
        _check_improvement(names, both, terms.metric)
        ratio = ratio_at(terms.target, trends[0], trends[1], terms.share_rate)
        sides = [
            _side(name, side, terms, trend, slope)
            for name, side, trend, slope in zip(names, (base, head), trends, both, strict=True)
        ]
    except (NoRate, UsageError) as error:
        raise UsageError(f"{terms.metric.option}: {error}") from None
    return EqualQuality(
        terms,
        sides[0],
        sides[1],
        ratio,
        both[0].shared,
        chance_of_slopes(*trends),
        TIME_MARGIN if margin is None else margin,
        unsure,
        tuple(reservations(terms.metric, base, head)),
    )


def _check_one_recipe(name: str, side: Sequence[Result]) -> None:
    """Raise `UsageError` unless the results are of one recipe, at whatever lengths, and of a measure with a time."""
    measures = sorted({result.measure for result in side})
    if len(measures) > 1 or measures[0] not in SECONDS.metrics:
        raise UsageError(
            f"{name} has {' and '.join(measures)}; give runs of trainings, of one measure, as in "
            f"{name},measure=time_to_accuracy"
        )
    every = dict.fromkeys(key for result in side for key in result.config if key.rpartition(".")[2] != EPOCHS)
    keys = [key for key in every if len({repr(result.config.get(key)) for result in side}) > 1]
    if keys:
        raise UsageError(
            f"{name} has runs of several recipes, which differ in {', '.join(keys[:MOST_TOLD])}; they "
            f"may differ in {EPOCHS} alone: choose by a condition, such as {keys[0]}=…"
        )
    if any(result.config.get("stop_at_target") for result in side):
        raise UsageError(f"{name} has runs that stop at their target; set stop_at_target to false")


def _check_improvement(names: tuple[str, str], both: Sequence[Slope], metric: QualityMetric) -> None:
    """Raise `UsageError` for a recipe that does not improve with the length."""
    wrong = [name for name, slope in zip(names, both, strict=True) if not metric.improves(slope.value)]
    if wrong:
        raise UsageError(
            f"the {metric.name} of {' and '.join(wrong)} does not {metric.improvement} with the length; take lengths "
            "that differ more, or more seeds"
        )


def _trend(name: str, side: Sequence[Result], terms: Terms) -> Trend:
    unit, key = terms.unit, terms.metric.key
    metric = unit.metrics.get(side[0].measure)
    if metric is None:
        raise UsageError(
            f"{name} has runs of a command, which records no {unit.noun}; leave out --by {unit.name}, so that they are "
            f"compared by {SECONDS.name}"
        )
    known = [(_asked(result), *pair) for result in side if (pair := _numbers(result, terms)) is not None]
    if not known:
        raise UsageError(f"no run of {name} has both {metric} and {key}; {_remedy(side[0], key)}")
    asked, lengths, qualities = zip(*known, strict=True)
    return Trend.of(lengths, qualities, asked)


def _remedy(result: Result, key: str) -> str:
    if result.measure == "command":
        return f"let the command report {key}"
    return "failed runs and those of older versions may lack them: run it again"


def _asked(result: Result) -> tuple[tuple[str, Any], ...]:
    """The length that a run was given: its config's epochs."""
    return tuple(sorted((key, value) for key, value in result.config.items() if key.rpartition(".")[2] == EPOCHS))


def _numbers(result: Result, terms: Terms) -> tuple[float, float] | None:
    """The length and the quality of a run; None if it lacks one of them."""
    metrics = result.metrics or {}
    length, quality = metrics.get(terms.unit.metrics[result.measure]), metrics.get(terms.metric.key)
    if not length or quality is None or not math.isfinite(quality):
        return None
    return float(length), float(quality)


def _side(name: str, side: Sequence[Result], terms: Terms, trend: Trend, slope: Slope) -> RecipeSide:
    unit, metric = terms.unit, terms.metric
    length = length_at(terms.target, trend, slope, unit.symbol)
    finished = sum(result.metrics is not None for result in side)
    used = [result.metrics for result in side if result.metrics and _numbers(result, terms) is not None]
    known = [float(epochs) for metrics in used if (epochs := metrics.get("epochs"))]
    per_epoch = None
    if len(known) == len(used):
        # At the target as many epochs as its length is of the mean run's length.
        mean = math.exp(math.fsum(map(math.log, known)) / len(known))
        at_target = mean * length.value / math.exp(trend.mean_x)
        per_epoch = rate_at(at_target, trend, slope, f"{metric.unit}/epoch")
    reached = [metrics[metric.key] for metrics in used]
    return RecipeSide(
        name,
        trend.n,
        tuple(sorted({round(one, 6) for one in known})),
        length,
        rate_at(length.value, trend, slope, f"{metric.unit}/{unit.symbol}"),
        per_epoch,
        is_extrapolated=not min(reached) <= terms.target <= max(reached),
        left_out=finished - trend.n,
    )
