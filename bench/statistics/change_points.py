"""Where a quantity changed along a line of commits, from comparisons of one commit with another.

A comparison of commits a and b gives the rise of the logarithm (or the value) between them and its standard error, on
any machine. The model: each rise is the sum of the changes at the commits a+1 … b, few of which differ from zero, and
noise. The changes are found by forward selection: the one that explains most is added, all are fitted anew by weighted
least squares, and those that no longer count are dropped (binary segmentation, Scott and Knott, Biometrics 30, 1974, in
the form for regressions; Harchaoui and Lévy-Leduc, JASA 105, 2010, for the model of sparse increments). What is added
has to be so significant that a line with no change at all shows a false one in at most a share `false_alarms` of cases,
by Šidák's bound (JASA 62, 1967).

Comparisons of equal code differ by more than their own errors say, because each has its own checkout, process and
hour. How much more is estimated from all of them, by the median, so that changes do not count as noise (a robust form
of Paule and Mandel's estimator, J. Res. Nat. Bureau of Standards 87, 1982).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats

FALSE_ALARMS = 0.01
# Fewer comparisons do not show how much sessions differ beyond their own errors.
LEAST = 8
# Of a squared standard normal value.
MEDIAN_CHI_SQUARED = float(stats.chi2.median(1))

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class CommitComparison:
    """The rise from the commit at position `base` to that at `head`, later on the line, and its standard error."""

    base: int
    head: int
    rise: float
    error: float


@dataclass(frozen=True)
class Change:
    """A change by `rise` at one of the commits `first` … `last`, which no comparison can tell apart."""

    first: int
    last: int
    rise: float
    error: float

    @property
    def z(self) -> float:
        return self.rise / self.error


@dataclass(frozen=True)
class Level:
    """How far a commit lies above the first commit of its piece; no comparison connects two pieces."""

    position: int
    piece: int
    rise: float
    error: float


def find_changes(comparisons: Sequence[CommitComparison], false_alarms: float = FALSE_ALARMS) -> list[Change]:
    """The changes along the line, in order of the commits; none where there are fewer than `LEAST` comparisons.

    Raises ValueError for a comparison that goes backwards.
    """
    for one in comparisons:
        if one.base >= one.head:
            raise ValueError(f"a comparison goes from position {one.base} back to {one.head}")
    if len(comparisons) < LEAST:
        return []
    groups, crossed = _design(comparisons)
    rises = np.array([one.rise for one in comparisons])
    errors = np.array([one.error for one in comparisons])
    limit = _limit(len(groups), len(comparisons), false_alarms)
    chosen: list[int] = []
    while True:
        weights = 1 / (errors**2 + excess_variance(rises - _fitted(crossed, chosen, rises, 1 / errors**2), errors))
        scores = _scores(crossed, chosen, rises, weights)
        best = int(np.argmax(np.abs(scores)))
        if len(chosen) == len(groups) or abs(scores[best]) <= limit:
            break
        chosen.append(best)
    while chosen:
        rise, error = _fit(crossed, chosen, rises, weights)
        weakest = int(np.argmin(np.abs(rise / error)))
        if abs(rise[weakest] / error[weakest]) > limit:
            return [
                Change(*groups[group], float(one), float(its))
                for group, one, its in sorted(zip(chosen, rise, error, strict=True))
            ]
        del chosen[weakest]
    return []


def excess_variance(residuals: Floats, errors: Floats) -> float:
    """The variance of comparisons of equal code beyond their own errors."""

    def too_large(variance: float) -> float:
        return float(np.median(residuals**2 / (errors**2 + variance))) - MEDIAN_CHI_SQUARED

    if too_large(0.0) <= 0:
        return 0.0
    return float(optimize.brentq(too_large, 0.0, float(np.max(residuals**2)) / MEDIAN_CHI_SQUARED))


def levels(comparisons: Sequence[CommitComparison]) -> list[Level]:
    """Each compared commit by its position: the least-squares levels, from zero at the first of each piece."""
    positions = sorted({one.base for one in comparisons} | {one.head for one in comparisons})
    piece = _pieces(comparisons)
    found = []
    for number, root in enumerate(dict.fromkeys(piece[position] for position in positions)):
        inside = [position for position in positions if piece[position] == root]
        index = {position: at for at, position in enumerate(inside[1:])}
        normal, right = np.zeros((len(index), len(index))), np.zeros(len(index))
        for one in comparisons:
            if piece[one.base] != root:
                continue
            weight = 1 / one.error**2
            ends = [(index[end], sign) for end, sign in ((one.head, 1.0), (one.base, -1.0)) if end in index]
            for row, sign in ends:
                right[row] += sign * weight * one.rise
                for column, other in ends:
                    normal[row, column] += sign * other * weight
        covariance = np.linalg.inv(normal) if index else normal
        found.append(Level(inside[0], number, 0.0, 0.0))
        for position, at in index.items():
            rise = float(covariance[at] @ right)
            found.append(Level(position, number, rise, math.sqrt(max(float(covariance[at, at]), 0.0))))
    return sorted(found, key=lambda level: level.position)


def _design(comparisons: Sequence[CommitComparison]) -> tuple[list[tuple[int, int]], Floats]:
    """The steps between commits that comparisons can tell apart, and which comparison crosses which."""
    ends = sorted({one.base for one in comparisons} | {one.head for one in comparisons})
    # Between two neighbouring ends all steps are crossed by the same comparisons.
    spans = [
        (before + 1, after)
        for before, after in itertools.pairwise(ends)
        if any(one.base <= before and after <= one.head for one in comparisons)
    ]
    crossed = np.array([[float(one.base < first and last <= one.head) for first, last in spans] for one in comparisons])
    alike: dict[bytes, list[int]] = {}
    for at in range(len(spans)):
        alike.setdefault(crossed[:, at].tobytes(), []).append(at)
    groups = [(spans[same[0]][0], spans[same[-1]][1]) for same in alike.values()]
    return groups, crossed[:, [same[0] for same in alike.values()]]


def _limit(candidates: int, comparisons: int, false_alarms: float) -> float:
    """By how many standard errors a change has to differ from zero: Student's t, as the errors are estimates too."""
    level = -math.expm1(math.log1p(-false_alarms) / candidates)
    return float(stats.t.isf(level / 2, comparisons))


def _fit(crossed: Floats, chosen: Sequence[int], rises: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """The chosen changes by weighted least squares, and their standard errors."""
    design = crossed[:, chosen]
    covariance = np.linalg.pinv(design.T @ (weights[:, None] * design))
    return covariance @ (design.T @ (weights * rises)), np.sqrt(np.diag(covariance))


def _fitted(crossed: Floats, chosen: Sequence[int], rises: Floats, weights: Floats) -> Floats:
    if not chosen:
        return np.zeros(rises.size)
    fitted: Floats = crossed[:, chosen] @ _fit(crossed, chosen, rises, weights)[0]
    return fitted


def _scores(crossed: Floats, chosen: Sequence[int], rises: Floats, weights: Floats) -> Floats:
    """By how many standard errors each change would differ from zero if it were added to the chosen ones."""
    root = np.sqrt(weights)[:, None]
    design, target = root * crossed, root[:, 0] * rises
    if chosen:
        basis, _ = np.linalg.qr(design[:, chosen])
        design = design - basis @ (basis.T @ design)
        target = target - basis @ (basis.T @ target)
    lengths = np.linalg.norm(design, axis=0)
    is_new = lengths > 1e-6 * np.linalg.norm(root * crossed, axis=0)
    is_new[list(chosen)] = False
    scores: Floats = np.where(is_new, design.T @ target / np.where(is_new, lengths, 1.0), 0.0)
    return scores


def _pieces(comparisons: Sequence[CommitComparison]) -> dict[int, int]:
    """The least position that each one is connected with."""
    parent: dict[int, int] = {}

    def root(position: int) -> int:
        parent.setdefault(position, position)
        while parent[position] != position:
            parent[position] = parent[parent[position]]
            position = parent[position]
        return position

    for one in comparisons:
        low, high = sorted((root(one.base), root(one.head)))
        parent[high] = low
    return {position: root(position) for position in parent}
