"""Compares two arms of a sweep: cells that differ only in the name of their `arm`."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.runs.run import FINISHED
from bench.spec.matrix import short
from bench.spec.sweep_plan import SweepPlan

if TYPE_CHECKING:
    from bench.statistics.estimates import Estimate

Headline = tuple[str, str, Callable[[float | None], str]]

# Fewer runs have too few different resamples.
LEAST_N = 5
RESAMPLES = 9999


def compare_arms(plan: SweepPlan, headline: Headline) -> list[str]:
    """A line for each arm and one for their ratio, for each pair of arms with at least five runs each.

    The ratio's interval is that of the bias-corrected and accelerated bootstrap (Efron, "Better bootstrap confidence
    intervals", 1987) of the ratio of the medians, with each arm resampled separately; if ties make it undefined, it is
    the percentile interval. The seed is fixed, so that the same runs always give the same interval.
    """
    label, metric, show = headline
    arms: dict[str, dict[str, list[float]]] = {}
    for cell in plan.cells:
        if "arm" not in cell.values:
            continue
        rest = ", ".join(f"{key}={short(value)}" for key, value in cell.values.items() if key != "arm")
        runs = [entry.run for entry in plan.entries if entry.cell.id == cell.id and entry.run is not None]
        values = [run.metrics.get(metric) for run in runs if run.status in FINISHED]
        arms.setdefault(rest, {})[str(cell.values["arm"])] = [value for value in values if value is not None]
    lines = []
    for rest, by_name in arms.items():
        enough = {name: values for name, values in by_name.items() if len(values) >= LEAST_N}
        for (a, a_values), (b, b_values) in itertools.combinations(enough.items(), 2):
            lines += _compare(f"{rest}: " if rest else "", label, show, (a, a_values), (b, b_values))
    return lines


def _compare(
    prefix: str,
    label: str,
    show: Callable[[float | None], str],
    first: tuple[str, Sequence[float]],
    second: tuple[str, Sequence[float]],
) -> list[str]:
    from bench.statistics.estimates import median

    lines = []
    for name, values in (first, second):
        lines.append(f"{prefix}arm {name}: {label}, median {_interval(median(values), show)}, n = {len(values)}")
    ratio, low, high = ratio_of_medians(first[1], second[1])
    if not all(map(math.isfinite, (ratio, low, high))):
        why = f"values of {second[0]} are 0"
        return [*lines, f"{prefix}{first[0]} / {second[0]}: no ratio of the medians with an interval, because {why}"]
    says = "no difference is seen" if low <= 1 <= high else "they differ"
    lines.append(
        f"{prefix}{first[0]} / {second[0]}: ratio of the medians {ratio:.4f} [{low:.4f}, {high:.4f}], 95 %: {says}"
    )
    return lines


def _interval(estimate: Estimate, show: Callable[[float | None], str]) -> str:
    interval = f" [{show(estimate.low)}, {show(estimate.high)}]" if estimate.low is not None else ""
    return f"{show(estimate.value)}{interval}"


def ratio_of_medians(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    """median(a) / median(b) and the ends of its 95 % interval, which equal the ratio if nothing varies.

    A ratio or an end that zeros in `b` leave without a value is not finite.
    """
    import numpy as np
    from scipy import stats

    def ratio(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.median(x, axis=axis) / np.median(y, axis=axis))

    def interval(method: str) -> tuple[float, float]:
        generator = np.random.default_rng(0)
        found = stats.bootstrap((a, b), ratio, vectorized=True, n_resamples=RESAMPLES, method=method, rng=generator)
        return float(found.confidence_interval.low), float(found.confidence_interval.high)

    value = float(ratio(np.asarray(a), np.asarray(b)))
    if len(set(a)) == len(set(b)) == 1 or not np.isfinite(value):
        return value, value, value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (RuntimeWarning, stats.DegenerateDataWarning))
        low, high = interval("BCa")
    # If no single value changes a median, as with tied accuracies, the acceleration is undefined.
    return value, *((low, high) if np.isfinite([low, high]).all() else interval("percentile"))
