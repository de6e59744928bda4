"""Effects of the factors of a crossed experiment: the mean at each level of one, and at each pair of levels of two.

A cell is a combination of levels with repeated values. Cells weigh the same however often they were repeated
(unweighted means: Yates, JASA 29, 1934). Only combinations of the other factors that have every level compared count,
so that a missing cell cannot pass for an effect.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from bench.statistics import LEAST_FOR_INTERVAL
from bench.statistics.estimates import CONFIDENCE, Estimate, SignificanceTest, student

Levels = tuple[Hashable, ...]


@dataclass(frozen=True)
class FactorCell:
    """The level of each factor, and the values that were measured with them."""

    levels: Levels
    values: tuple[float, ...]


@dataclass(frozen=True)
class Margin:
    """The estimate at each level of a factor, or pair of levels of two; empty where nothing can be compared.

    `over` is the number of combinations of the other factors, `left_out` how many lack a level.
    """

    estimates: dict[Levels, Estimate]
    over: int
    left_out: int
    cells: dict[Levels, tuple[FactorCell, ...]]


def margin(cells: Sequence[FactorCell], factors: Sequence[int], confidence: float = CONFIDENCE) -> Margin:
    """The mean of the cell means at each level of these factors, given by position, with an interval over repeats.

    The variance of each cell is its own; the degrees of freedom are Satterthwaite's (Biometrics Bulletin 2, 1946).
    There is no interval where a cell has a single value, or where all have so few that it would be useless. n
    counts the values.
    """
    rest: dict[Levels, dict[Levels, FactorCell]] = defaultdict(dict)
    for cell in cells:
        if cell.values:
            others = tuple(level for position, level in enumerate(cell.levels) if position not in factors)
            rest[others][_levels(cell, factors)] = cell
    wanted = {levels for found in rest.values() for levels in found}
    whole = [found for found in rest.values() if found.keys() == wanted]
    members = {levels: tuple(found[levels] for found in whole) for levels in wanted} if whole else {}
    means = {levels: mean_of_cells([cell.values for cell in of], confidence) for levels, of in members.items()}
    return Margin(means, len(whole), len(rest) - len(whole), members)


def mean_of_cells(cells: Sequence[Sequence[float]], confidence: float = CONFIDENCE) -> Estimate:
    """The mean of the means of several cells, each of which varies in its own way."""
    samples = [np.asarray(values, np.float64) for values in cells]
    value = math.fsum(float(sample.mean()) for sample in samples) / len(samples)
    n, method = sum(sample.size for sample in samples), "mean of cell means, Satterthwaite interval"
    if any(sample.size < 2 for sample in samples):
        return Estimate(value, n, method, None, None, confidence)
    parts = [(_variance(sample) / sample.size, sample.size - 1) for sample in samples]
    variance = math.fsum(part for part, _ in parts)
    if not 0 < variance < math.inf:
        return Estimate(value, n, method, None, None, confidence)
    degrees = variance**2 / math.fsum(part**2 / free for part, free in parts)
    if degrees < LEAST_FOR_INTERVAL - 1 - 1e-9:
        return Estimate(value, n, method, None, None, confidence)
    return student(value, math.sqrt(variance) / len(samples), degrees, n, method, confidence, "")


def interaction(cells: Sequence[FactorCell], first: int, second: int, ratios: bool) -> SignificanceTest:
    """An F test of whether the effect of one factor depends on the level of another.

    With `ratios` the effects are factors and not differences, so that values are compared by their logarithms. The
    error is the pooled variance within cells (Yates, 1934). p is None where that is unknown or zero, or a factor has
    one level.
    """
    values = [value for cell in cells for value in cell.values]
    what = "ratio" if ratios else "difference"
    hypothesis = f"the {what} between levels of one is the same at all levels of the other"
    method = "F test, unweighted means"
    none = SignificanceTest(None, len(values), method, hypothesis)
    if ratios and min(values, default=0.0) <= 0:
        return none
    scaled = [FactorCell(c.levels, tuple(math.log(v) for v in c.values) if ratios else c.values) for c in cells]
    found = margin(scaled, (first, second))
    rows = sorted({levels[0] for levels in found.estimates}, key=repr)
    columns = sorted({levels[1] for levels in found.estimates}, key=repr)
    members = [cell for of in found.cells.values() for cell in of]
    freedom, error_freedom = (len(rows) - 1) * (len(columns) - 1), sum(len(cell.values) - 1 for cell in members)
    if freedom < 1 or error_freedom < 1 or len(found.estimates) < len(rows) * len(columns):
        return none
    means = np.array([[found.estimates[row, column].value for column in columns] for row in rows])
    apart = means - means.mean(axis=0) - means.mean(axis=1, keepdims=True) + means.mean()
    harmonic = len(members) / math.fsum(1 / len(cell.values) for cell in members)
    between = found.over * harmonic * float((apart**2).sum()) / freedom
    within = math.fsum(_variance(np.asarray(c.values)) * (len(c.values) - 1) for c in members) / error_freedom
    n = sum(len(cell.values) for cell in members)
    p = float(special.fdtrc(freedom, error_freedom, between / within)) if within > 0 else None
    return SignificanceTest(p, n, method, hypothesis)


def _levels(cell: FactorCell, factors: Iterable[int]) -> Levels:
    return tuple(cell.levels[factor] for factor in factors)


def _variance(sample: np.ndarray) -> float:
    """Exactly 0 for equal values; NumPy's result is not always."""
    return float(sample.var(ddof=1)) if sample.size > 1 and np.ptp(sample) > 0 else 0.0
