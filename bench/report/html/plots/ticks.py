"""Axes of durations, with ticks such as 10 s and 1 min instead of 100 s."""

from __future__ import annotations

from matplotlib.axis import Axis
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

MOST_TICKS = 8
# Steps in seconds, minutes, hours and days.
_UNITS = (("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0))
_LOG_S = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 60, 600, 3600, 36000, 4 * 86400, 40 * 86400, 400 * 86400)
_STEPS_S = (
    1e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600,
    7200, 4 * 3600, 12 * 3600, 86400, 2 * 86400, 5 * 86400, 10 * 86400, 50 * 86400,
)  # fmt: skip


def name(seconds: float) -> str:
    """`0`, `50 ms`, `10 s`, `1.5 min`, `4 d`."""
    unit, size = next(((unit, size) for unit, size in reversed(_UNITS) if seconds >= size), _UNITS[0])
    return f"{seconds / size:g} {unit}" if seconds else "0"


def duration_axis(axis: Axis, least_s: float, most_s: float, log: bool) -> None:
    """Set ticks for seconds from `least_s` to `most_s`, both positive if the axis is logarithmic."""
    if log:
        inside = [tick for tick in _LOG_S if 0.5 * least_s <= tick <= 2 * most_s]
    else:
        step = next((step for step in _STEPS_S if most_s / step <= MOST_TICKS), most_s)
        inside = [step * count for count in range(int(most_s / step) + 1)]
    axis.set_major_locator(FixedLocator(inside))
    axis.set_major_formatter(FixedFormatter([name(tick) for tick in inside]))
    axis.set_minor_locator(NullLocator())
