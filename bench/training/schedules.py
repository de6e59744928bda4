"""Schedules as pure functions of progress: the factor on each base learning rate, and the momentum.

`progress` runs from 0 (before the first step) towards 1 (after the last one).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from bench.errors import UsageError
from bench.registry.registry import Found
from bench.registry.signature import check_options


class Setting(NamedTuple):
    """`lr_factor` multiplies each group's base rate; `momentum` None leaves each group its own."""

    lr_factor: float
    momentum: float | None = None


Schedule = Callable[[float], Setting]


def _line(start: float, end: float, fraction: float) -> float:
    return start + (end - start) * fraction


def constant() -> Schedule:
    return lambda _: Setting(1.0)


def linear(start: float = 1.0, end: float = 0.0, until: float | None = None, after: float | None = None) -> Schedule:
    """`start` until progress `after`, a line to `end` at progress `until`, then constant."""
    if until is None and after is None:
        return lambda progress: Setting(_line(start, end, progress))
    first, last = after or 0.0, 1.0 if until is None else until
    return lambda progress: Setting(_line(start, end, min(max(progress - first, 0.0) / (last - first), 1.0)))


def triangular(start: float = 0.2, peak: float = 0.23, end: float = 0.07) -> Schedule:
    """From `start` up to 1 at progress `peak`, then down to `end`: the shape of airbench94's SGD recipe."""

    def at(progress: float) -> Setting:
        if progress < peak:
            return Setting(_line(start, 1.0, progress / peak))
        return Setting(_line(1.0, end, (progress - peak) / (1 - peak)))

    return at


def one_cycle(div: float = 20.0, pct: float = 20.0, max_momentum: float = 0.95, min_momentum: float = 0.85) -> Schedule:
    """fast.ai's (div, pct, max, min): 1/div up to 1 and back over the first (100 − pct) %, then down to 1/(100·div).

    Momentum goes from max to min and back as the rate rises and falls, and stays at max in the last
    part. Source: fast.ai's `use_clr_beta`, after Smith, arXiv 1803.09820.
    """
    cycle = 1 - pct / 100

    def at(progress: float) -> Setting:
        low = 1 / div
        if progress >= cycle:
            return Setting(_line(low, low / 100, (progress - cycle) / (1 - cycle) if cycle < 1 else 1.0), max_momentum)
        rise = 1 - abs(2 * progress / cycle - 1)
        return Setting(_line(low, 1.0, rise), _line(max_momentum, min_momentum, rise))

    return at


def fit_one_cycle(
    div: float = 25.0,
    pct_start: float = 0.3,
    final_div: float = 1e4,
    max_momentum: float = 0.95,
    min_momentum: float = 0.85,
) -> Schedule:
    """The one-cycle of fast.ai's library of 2019: half a cosine up from 1/div to 1, then half a cosine down.

    It rises until progress `pct_start`, and ends at 1/(div · final_div). Momentum goes from max to min as the rate
    rises, and back as it falls; with both equal it is held.
    """

    def at(progress: float) -> Setting:
        rising = progress < pct_start
        start, length = (0.0, pct_start) if rising else (pct_start, 1 - pct_start)
        height = (1 - math.cos(math.pi * (progress - start) / length)) / 2
        momentum = _line(max_momentum, min_momentum, height if rising else 1 - height)
        low = 1 / div if rising else 1 / (div * final_div)
        return Setting(_line(low, 1.0, height if rising else 1 - height), momentum)

    return at


def step(milestones: Sequence[float] = (0.3, 0.6, 0.8), gamma: float = 0.2) -> Schedule:
    """Multiply by `gamma` at each milestone of progress: Wide ResNet's 60, 120 and 160 of 200 epochs."""
    return lambda progress: Setting(gamma ** sum(progress >= milestone for milestone in milestones))


def cosine(end: float = 0.0) -> Schedule:
    """Half a cosine from 1 to `end`, without restarts: Loshchilov and Hutter, arXiv 1608.03983."""
    return lambda progress: Setting(end + (1 - end) * (1 + math.cos(math.pi * progress)) / 2)


def warmed_up(schedule: Schedule, share: float, start: float = 0.0) -> Schedule:
    """The schedule, its rate multiplied by a line from `start` to 1 over the first `share` of progress.

    Milestones keep their place, as in Goyal et al., arXiv 1706.02677.
    """

    def at(progress: float) -> Setting:
        setting = schedule(progress)
        return setting._replace(lr_factor=setting.lr_factor * _line(start, 1.0, min(progress / share, 1.0)))

    return at


def own(found: Found, options: Mapping[str, Any]) -> Schedule:
    """A user's schedule: the named object is called with the options and returns a function of progress.

    That gives a `Setting`, or the factor alone. Raises `UsageError` for an option that it does not take, for an error
    in it, and where it gives no number at the training's beginning.
    """
    make = found.load()
    try:
        check_options(f"schedule {found.label}", make, options)
    except ValueError as error:
        raise UsageError(str(error)) from None
    with found.errors():
        schedule = make(**options)
        first = schedule(0.0)

    def at(progress: float) -> Setting:
        given = schedule(progress)
        return given if isinstance(given, Setting) else Setting(float(given))

    if not isinstance(first, Setting | float | int):
        raise UsageError(
            f"{found.label} gives a {type(first).__name__} at progress 0; return the factor on the learning rate"
        )
    return at
