"""Effects of the factors of a crossed experiment: the mean at each level of one, and at each pair of levels of two.

A cell is a combination of levels with repeated values. Cells weigh the same however often they were repeated
(unweighted means: Yates, JASA 29, 1934). Only combinations of the other factors that have every level compared count,
so that a missing cell cannot pass for an effect.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import special

from bench.statistics import LEAST_FOR_INTERVAL
from bench.statistics.blocks import without_blocks
from bench.statistics.estimates import CONFIDENCE, Estimate, SignificanceTest, student

Levels = tuple[Hashable, ...]


@dataclass(frozen=True)
class FactorCell:
    """The level of each factor, and the values that were measured with them.

    `blocks` says of each value what it has in common with values of other cells, such as its seed or its host; without
    them all values are independent. `runs` is the number of runs behind the values, if a value is a mean of several.
    """

    levels: Levels
    values: tuple[float, ...]
    blocks: tuple[Hashable, ...] = ()
    runs: int | None = None

    @property
    def n(self) -> int:
        return len(self.values) if self.runs is None else self.runs


@dataclass(frozen=True)
class Margin:
    """The estimate at each level of a factor, or pair of levels of two; empty where nothing can be compared.

    `over` is the number of combinations of the other factors, `left_out` how many lack a level.
    """

    estimates: dict[Levels, Estimate]
    over: int
    left_out: int
    cells: dict[Levels, tuple[FactorCell, ...]]


class ComparedCells(NamedTuple):
    """Cells for `margin`, with the degrees of freedom that are left for their error; infinite without blocks."""

    cells: list[FactorCell]
    degrees: float = math.inf


def compared_within_blocks(cells: Sequence[FactorCell], ratios: bool) -> ComparedCells:
    """The cells without what a block does to all of them alike, which cells that are compared have in common.

    With `ratios` a block multiplies the values, else it adds to them. A cell with all blocks keeps its mean; one that
    lacks some is corrected for their effects, which the other cells tell. The deviations from the mean are widened
    accordingly, so that the interval of `margin` is one for comparisons between levels (Loftus and Masson, Psychonomic
    Bulletin & Review 1, 1994; Morey, Tutorials in Quantitative Methods for Psychology 4, 2008). The cells stay as they
    are where blocks cannot be told from noise, and where ratios are not possible because a value is not positive.
    """
    if ratios and min((value for cell in cells for value in cell.values), default=0.0) <= 0:
        return ComparedCells(list(cells))
    scaled = [_scaled(cell.values, ratios) for cell in cells]
    found = without_blocks([sample.tolist() for sample in scaled], [cell.blocks for cell in cells])
    if found is None:
        return ComparedCells(list(cells))
    made = []
    for cell, before, after, widening in zip(cells, scaled, found.samples, found.widening, strict=True):
        centre = after.mean()
        wide, shift = centre + (after - centre) * math.sqrt(widening), centre - before.mean()
        # Back to the mean as it was measured, which is not quite that of the logarithms.
        mean = np.mean(cell.values)
        if ratios:
            wide = np.exp(wide)
            wide *= mean * math.exp(shift) / wide.mean()
        else:
            wide += mean + shift - wide.mean()
        made.append(replace(cell, values=tuple(wide.tolist())))
    return ComparedCells(made, found.left)


def margin(
    cells: Sequence[FactorCell],
    factors: Sequence[int],
    confidence: float = CONFIDENCE,
    most_degrees: float = math.inf,
) -> Margin:
    """The mean of the cell means at each level of these factors, given by position, with an interval over repeats.

    The variance of each cell is its own; the degrees of freedom are Satterthwaite's (Biometrics Bulletin 2, 1946), and
    at most `most_degrees`. There is no interval where a cell has a single value, or where all have so few that it would
    be useless. n counts the runs.
    """
    rest: dict[Levels, dict[Levels, FactorCell]] = defaultdict(dict)
    for cell in cells:
        if cell.values:
            others = tuple(level for position, level in enumerate(cell.levels) if position not in factors)
            rest[others][_levels(cell, factors)] = cell
    wanted = {levels for found in rest.values() for levels in found}
    whole = [found for found in rest.values() if found.keys() == wanted]
    members = {levels: tuple(found[levels] for found in whole) for levels in wanted} if whole else {}
    means = {
        levels: replace(
            mean_of_cells([cell.values for cell in of], confidence, most_degrees), n=sum(cell.n for cell in of)
        )
        for levels, of in members.items()
    }
    return Margin(means, len(whole), len(rest) - len(whole), members)


def mean_of_cells(
    cells: Sequence[Sequence[float]], confidence: float = CONFIDENCE, most_degrees: float = math.inf
) -> Estimate:
    """The mean of the means of several cells, each of which varies in its own way."""
    samples = [np.asarray(values, np.float64) for values in cells]
    value = math.fsum(float(sample.mean()) for sample in samples) / len(samples)
    n, method = sum(sample.size for sample in samples), "mean of cell means, Satterthwaite interval"
    none = Estimate(value, n, method, None, None, confidence)
    if any(sample.size < 2 for sample in samples):
        return none
    parts = [(_variance(sample) / sample.size, sample.size - 1) for sample in samples]
    variance = math.fsum(part for part, _ in parts)
    if not 0 < variance < math.inf:
        return none
    degrees = min(most_degrees, variance**2 / math.fsum(part**2 / free for part, free in parts))
    if degrees < LEAST_FOR_INTERVAL - 1 - 1e-9:
        return none
    return student(value, math.sqrt(variance) / len(samples), degrees, n, method, confidence, "")


def interaction(cells: Sequence[FactorCell], first: int, second: int, ratios: bool) -> SignificanceTest:
    """An F test of whether the effect of one factor depends on the level of another.

    With `ratios` the effects are factors and not differences, so that values are compared by their logarithms. The
    error is the pooled variance within cells (Yates, 1934), without what their blocks have in common. p is None where
    that is unknown or zero, or a factor has one level.
    """
    what = "ratio" if ratios else "difference"
    hypothesis = f"the {what} between levels of one is the same at all levels of the other"
    method = "F test, unweighted means"
    none = SignificanceTest(None, sum(cell.n for cell in cells), method, hypothesis)
    if ratios and min((value for cell in cells for value in cell.values), default=0.0) <= 0:
        return none
    scaled = [replace(cell, values=tuple(_scaled(cell.values, ratios).tolist())) for cell in cells]
    members = [cell for of in margin(scaled, (first, second)).cells.values() for cell in of]
    found = without_blocks([cell.values for cell in members], [cell.blocks for cell in members])
    if found is not None:
        adjusted = [tuple(sample.tolist()) for sample in found.samples]
        members = [replace(cell, values=values) for cell, values in zip(members, adjusted, strict=True)]
    taken = 0 if found is None else found.taken
    return replace(none, p=_p_of_interaction(members, first, second, taken), n=sum(cell.n for cell in members))


def _p_of_interaction(members: Sequence[FactorCell], first: int, second: int, taken: int) -> float | None:
    """The p-value of the F test; `taken` are the degrees of freedom that were spent on blocks."""
    found = margin(members, (first, second))
    rows = sorted({levels[0] for levels in found.estimates}, key=repr)
    columns = sorted({levels[1] for levels in found.estimates}, key=repr)
    freedom = (len(rows) - 1) * (len(columns) - 1)
    error_freedom = sum(len(cell.values) - 1 for cell in members) - taken
    if freedom < 1 or error_freedom < 1 or len(found.estimates) < len(rows) * len(columns):
        return None
    means = np.array([[found.estimates[row, column].value for column in columns] for row in rows])
    apart = means - means.mean(axis=0) - means.mean(axis=1, keepdims=True) + means.mean()
    harmonic = len(members) / math.fsum(1 / len(cell.values) for cell in members)
    between = found.over * harmonic * float((apart**2).sum()) / freedom
    within = math.fsum(_variance(np.asarray(c.values)) * (len(c.values) - 1) for c in members) / error_freedom
    return float(special.fdtrc(freedom, error_freedom, between / within)) if within > 0 else None


def _scaled(values: Iterable[float], ratios: bool) -> np.ndarray:
    """The values, or their logarithms."""
    sample = np.asarray(tuple(values), np.float64)
    return np.log(sample) if ratios else sample


def _levels(cell: FactorCell, factors: Iterable[int]) -> Levels:
    return tuple(cell.levels[factor] for factor in factors)


def _variance(sample: np.ndarray) -> float:
    """Exactly 0 for equal values; NumPy's result is not always."""
    return float(sample.var(ddof=1)) if sample.size > 1 and np.ptp(sample) > 0 else 0.0
