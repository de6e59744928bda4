"""Group-sequential tests: evidence is tested repeatedly as it arrives, with the false-alarm rate of a single test.

The tests spend their false-alarm rate gradually: Lan and DeMets, "Discrete sequential boundaries for clinical trials",
Biometrika 70, 1983. Spending is proportional to the number of rounds, as in the power family of Kim and DeMets,
Biometrika 74, 1987, with exponent 1, which ends clear cases early. If measuring ends before the last look, part of the
rate is not spent, which makes the test conservative.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

# The levels for which boundaries are computed.
LEVELS = np.geomspace(1e-7, 0.5, 36)
# The number of grid points for the density of the walk, and their range in standard deviations.
GRID = 240
REACH = 8.0
# Computing the boundaries of more looks would take longer than some runs.
MOST_LOOKS = 50


@functools.cache
def looks(rounds: int, least: int = 8) -> tuple[int, ...]:
    """The rounds after which to look: from `least` on, and after the last.

    Only every second round, which completes a block A B B A in which a steady drift cancels; with many rounds, fewer.
    """
    every = 2 * math.ceil(rounds / (2 * MOST_LOOKS))
    return tuple(sorted({*range(min(least, rounds), rounds, every), rounds}))


def nominal(level: float, at: Sequence[int], look: int) -> float:
    """The p below which the test at look number `look` is significant if all looks together have `level`."""
    curve = _boundaries(tuple(at))[:, look]
    return float(np.exp(np.interp(math.log(level), np.log(LEVELS), np.log(curve))))


def repeated_p(p: float, at: Sequence[int], look: int) -> float:
    """The level of all looks together at which a nominal `p` at this look would be just significant.

    The smallest of these over the looks so far is a p-value that is valid at any stopping time (Jennison and Turnbull,
    "Group sequential methods", 1999, chapter 9). With a single look it is p itself.
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
    """Boundaries from the density of a random walk, the sum of n values, that has not crossed them yet.

    In units of one value's standard deviation, the walk has variance n after n rounds (Armitage, McPherson and Rowe,
    JRSS A 132, 1969). Each look's boundary is chosen so that the probability mass beyond it is the look's share. This
    calls the normal distribution thousands of times, so it takes scipy's functions without their checks of arguments.
    """
    spent = np.diff([0.0, *at]) * level / at[-1]
    boundary = -float(special.ndtri(spent[0])) * math.sqrt(at[0])
    levels = [spent[0]]
    points, weights = _grid(boundary, at[0])
    density = _density(points, math.sqrt(at[0])) * weights
    for before, now, share in zip(at, at[1:], spent[1:], strict=False):
        step = math.sqrt(now - before)
        low, high = -REACH * math.sqrt(now), REACH * math.sqrt(now)
        for _ in range(40):  # halving: the mass beyond falls as the boundary rises
            boundary = (low + high) / 2
            beyond = float(density @ special.ndtr((points - boundary) / step))
            low, high = (boundary, high) if beyond > share else (low, boundary)
        levels.append(float(special.ndtr(-boundary / math.sqrt(now))))
        next_points, weights = _grid(boundary, now)
        moved = _density(next_points[:, None] - points[None, :], step)
        density, points = (moved @ density) * weights, next_points
    return np.array(levels)


def _density(points: Any, deviation: float) -> Any:
    """The normal density around 0."""
    return np.exp(-0.5 * (points / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))


def _grid(boundary: float, variance: float) -> tuple[Any, Any]:
    """Points below the boundary and Simpson's weights."""
    points = np.linspace(-REACH * math.sqrt(variance), boundary, GRID + 1)
    weights = np.ones(GRID + 1)
    weights[1:-1:2], weights[2:-1:2] = 4.0, 2.0
    return points, weights * (points[1] - points[0]) / 3
