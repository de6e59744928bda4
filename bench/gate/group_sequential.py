"""Looking at evidence again and again as it comes in, at no more false alarms than a single look would give.

A group-sequential test spends its share of false alarms bit by bit: Lan and DeMets, "Discrete sequential boundaries for
clinical trials", Biometrika 70, 1983. What is spent here is proportional to the rounds made, as in the power family of
Kim and DeMets, Biometrika 74, 1987, with exponent 1, which ends clear cases early. A share that is never used,
because measuring ended before its last look, is lost; that makes the test careful, not wrong.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

# The finest and the coarsest share of false alarms for which boundaries are worked out, and how many between.
LEVELS = np.geomspace(1e-7, 0.5, 36)
# Points at which the density of the walk is followed, and how far out, in its standard deviations.
GRID = 240
REACH = 8.0
# The boundaries of more would take longer to work out than some runs do.
MOST_LOOKS = 50


@functools.cache
def looks(rounds: int, least: int = 8) -> tuple[int, ...]:
    """After which rounds to look: from `least` on, and after the last.

    Every second one closes a block A B B A, in which a steady drift cancels; of very many rounds, some are passed over.
    """
    every = 2 * math.ceil(rounds / (2 * MOST_LOOKS))
    return tuple(sorted({*range(min(least, rounds), rounds, every), rounds}))


def nominal(level: float, at: Sequence[int], look: int) -> float:
    """The p below which the test at the look number `look` is significant, where all looks together are at `level`."""
    curve = _boundaries(tuple(at))[:, look]
    return float(np.exp(np.interp(math.log(level), np.log(LEVELS), np.log(curve))))


def repeated_p(p: float, at: Sequence[int], look: int) -> float:
    """The level at which all looks together would have to be for a nominal `p` at this look to be significant.

    The least of these over the looks made so far is a p-value that holds whenever one stops (Jennison and
    Turnbull, "Group sequential methods", 1999, chapter 9). With a single look it is p itself.
    """
    if len(at) == 1:
        return p
    curve = _boundaries(tuple(at))[:, look]
    if p > curve[-1]:
        return 1.0
    return float(np.exp(np.interp(math.log(max(p, 1e-300)), np.log(curve), np.log(LEVELS))))


@functools.cache
def _boundaries(at: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Nominal one-sided levels [LEVELS, looks], increasing down each column."""
    if len(at) == 1:
        return LEVELS[:, None]
    return np.stack([_nominal_levels(float(level), at) for level in LEVELS])


def _nominal_levels(level: float, at: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Follow the density of a random walk that has not crossed the boundary yet, as the sum of n values has it.

    In units of one value's standard deviation the walk has variance n after n rounds (Armitage, McPherson and
    Rowe, JRSS A 132, 1969). Each look's boundary is where the mass beyond is this look's share.
    """
    spent = np.diff([0.0, *at]) * level / at[-1]
    boundary = float(stats.norm.isf(spent[0])) * math.sqrt(at[0])
    levels = [spent[0]]
    points, weights = _grid(boundary, at[0])
    density = stats.norm.pdf(points, scale=math.sqrt(at[0])) * weights
    for before, now, share in zip(at, at[1:], spent[1:], strict=False):
        step = math.sqrt(now - before)
        low, high = -REACH * math.sqrt(now), REACH * math.sqrt(now)
        for _ in range(40):  # halving: the mass beyond falls as the boundary rises
            boundary = (low + high) / 2
            beyond = float(density @ stats.norm.sf((boundary - points) / step))
            low, high = (boundary, high) if beyond > share else (low, boundary)
        levels.append(float(stats.norm.sf(boundary / math.sqrt(now))))
        next_points, weights = _grid(boundary, now)
        moved = np.exp(-0.5 * ((next_points[:, None] - points[None, :]) / step) ** 2) / (step * math.sqrt(2 * math.pi))
        density, points = (moved @ density) * weights, next_points
    return np.array(levels)


def _grid(boundary: float, variance: float) -> tuple[Any, Any]:
    """Points below the boundary and Simpson's weights."""
    points = np.linspace(-REACH * math.sqrt(variance), boundary, GRID + 1)
    weights = np.ones(GRID + 1)
    weights[1:-1:2], weights[2:-1:2] = 4.0, 2.0
    return points, weights * (points[1] - points[0]) / 3
