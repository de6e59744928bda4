"""Scales of charts: where a value stands between two ends, and ticks in the units that people use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

MOST_TICKS = 6
# Room beyond the outermost values, as a share of their range.
ROOM = 0.05
# A wider range of times is drawn on a logarithmic axis.
LOG_FROM = 30
# Accuracies nearer to 100 % stand at the end of their scale.
LEAST_ERROR = 0.003
# Accuracies below this have a linear scale.
LEAST_HIGH = 0.8
# Ticks of accuracies stand at least so far apart, as a share of the axis.
LEAST_GAP = 0.065
_ERRORS = (0.9, 0.5, 0.3, 0.2, 0.1, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01, 0.005)
# Steps of durations of a second and more; shorter ones have decimal steps.
_STEPS_S = (
    1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 4 * 3600, 12 * 3600, 86400, 2 * 86400, 5 * 86400,
    10 * 86400, 50 * 86400, 100 * 86400,
)  # fmt: skip
_LOG_STEPS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 2 * 3600, 5 * 3600, 10 * 3600, 86400, 4 * 86400)
# Each unit of time and the smaller one that its rest is told in.
_UNITS_S = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
_SIZES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))

T = TypeVar("T")
Ticks = tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Scale:
    """The ends and the ticks with their labels. On the kind `error`, for accuracies, distances are those of the
    logarithm of 1 minus the accuracy, so that the last points before 100 % spread out."""

    least: float
    most: float
    ticks: Ticks
    kind: Literal["linear", "log", "error"] = "linear"

    def place(self, value: float) -> float:
        """0 at one end, 1 at the other; what lies beyond an end stands at it."""
        low, high = self._along(self.least), self._along(self.most)
        return min(1.0, max(0.0, (self._along(value) - low) / ((high - low) or 1.0)))

    def _along(self, value: float) -> float:
        if self.kind == "log":
            return math.log10(max(value, 1e-12))
        return -math.log10(max(1 - value, LEAST_ERROR)) if self.kind == "error" else value


# Of no values, or none above zero: no tick tells a number that nobody measured.
_UNKNOWN_LOG = Scale(1.0, 10.0, (), "log")


def scale_of(metric: str, values: Iterable[float], from_zero: bool = False) -> Scale:
    """A linear scale of a metric, whose unit is the ending of its name."""
    low, high = _ends(values)
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = ROOM * (high - low) or 0.05 * abs(low) or 1.0
    least = low if from_zero and low == 0 else max(0.0, low - room) if low >= 0 else low - room
    most = min(1.0, high + room) if is_share(metric) and high <= 1 else high + room
    return Scale(least, most, ticks_of(metric, least, most))


def ticks_of(metric: str, least: float, most: float) -> Ticks:
    """At most MOST_TICKS round values between the ends, with their unit."""
    if metric.endswith("_ms"):
        return tuple((1000 * value, label) for value, label in ticks_of("_s", least / 1000, most / 1000))
    if metric.endswith("_s") and not metric.endswith("per_s"):
        return _multiples(duration_step(most - least), least, most, duration_name)
    if is_share(metric):
        step = nice_step(100 * (most - least)) / 100
        return _multiples(step, least, most, lambda value: f"{round(100 * value, 6):g} %")
    if metric.endswith("_bytes"):
        size, unit = next((one for one in _SIZES if most >= one[0]), _SIZES[-1])
        return _multiples(
            size * nice_step((most - least) / size), least, most, lambda value: f"{value / size:g} {unit}"
        )
    return _multiples(nice_step(most - least), least, most, number_name)


def log_durations(values: Iterable[float]) -> Scale:
    """A logarithmic scale of seconds, without ticks where none is positive."""
    positive = _positive(values)
    if not positive:
        return _UNKNOWN_LOG
    least, most = min(positive) / 1.3, max(positive) * 1.3
    decades = [10.0**power for power in range(-7, 0)]
    late = [10.0**power * 86400 for power in range(1, 5)]
    inside = [tick for tick in (*decades, *_LOG_STEPS_S, *late) if least <= tick <= most]
    return Scale(least, most, tuple((tick, duration_name(tick)) for tick in _thinned(inside)), "log")


def times(values: Iterable[float]) -> Scale:
    """A scale of seconds from zero, or a logarithmic one where they differ much."""
    positive = [value for value in values if value > 0]
    is_wide = bool(positive) and max(positive) > LOG_FROM * min(positive)
    return log_durations(positive) if is_wide else scale_of("time_s", positive or [0.0], from_zero=True)


def log_numbers(values: Iterable[float]) -> Scale:
    """A logarithmic scale of numbers without a unit, such as learning rates; without ticks where none is positive."""
    positive = _positive(values)
    if not positive:
        return _UNKNOWN_LOG
    least, most = min(positive), max(positive)
    powers = range(math.ceil(math.log10(least) - 1e-9), math.floor(math.log10(most) + 1e-9) + 1)
    return Scale(least, most, tuple((10.0**power, f"{10.0**power:.0e}") for power in _thinned(list(powers))), "log")


def accuracies(values: Iterable[float], targets: Iterable[float] = ()) -> Scale:
    """A scale of accuracies on which the last points spread out; a tick is at the target where that is usual."""
    values, targets = list(values), list(targets)
    if max(values, default=1.0) < LEAST_HIGH:
        return scale_of("accuracy", [*values, *targets])
    low, high = _ends([*values, *targets])
    low = min(low, 1 - 2 * LEAST_ERROR)  # else nothing would be left between both ends
    least, most = max(0.1, 1 - 1.2 * (1 - low)), 1 - max(0.8 * (1 - high), 0.8 * LEAST_ERROR)
    left_out = 0.05 if any(abs(target - 0.94) < 1e-9 for target in targets) else 0.06
    made = Scale(least, most, (), "error")
    ticks: list[float] = []
    for tick in sorted(
        (1 - error for error in _ERRORS if error != left_out and least <= 1 - error <= most), reverse=True
    ):
        if not ticks or made.place(ticks[-1]) - made.place(tick) >= LEAST_GAP:
            ticks.append(tick)
    if len(ticks) < 2:
        return Scale(least, most, ticks_of("accuracy", least, most), "error")
    return replace(made, ticks=tuple((tick, f"{round(100 * tick, 4):g} %") for tick in reversed(ticks)))


def whole_numbers(values: Iterable[float]) -> Scale:
    """A scale of counts, such as epochs or devices, with ticks at whole numbers alone."""
    low, high = _ends(values)
    room = ROOM * (high - low) or 0.5
    least, most = max(0.0, low - room) if low >= 0 else low - room, high + room
    return Scale(least, most, _multiples(max(1.0, nice_step(most - least)), least, most, number_name))


def years(values: Iterable[float]) -> Scale:
    """A scale of decimal years with ticks at whole ones."""
    low, high = _ends(values)
    least, most = low - 0.3, high + 0.3
    step = max(1, math.ceil((most - least) / MOST_TICKS))
    return Scale(least, most, _multiples(step, least, most, lambda value: f"{value:.0f}"))


def is_share(metric: str) -> bool:
    """Whether the metric is a share of 1 that people read in percent."""
    return metric.endswith(("accuracy", "efficiency", "fraction", "recall"))


def duration_step(range_s: float) -> float:
    """A step that divides a range of seconds into at most MOST_TICKS parts."""
    if range_s / MOST_TICKS < _STEPS_S[0]:
        return nice_step(range_s)
    return next((step for step in _STEPS_S if range_s / step <= MOST_TICKS), 86400 * nice_step(range_s / 86400))


def nice_step(whole: float) -> float:
    """1, 2 or 5 times a power of ten, which divides a range into at most MOST_TICKS parts."""
    raw = whole / MOST_TICKS
    if not 0 < raw < math.inf:
        return 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= raw * (1 - 1e-9))


def duration_name(seconds: float) -> str:
    """`0`, `50 ms`, `10 s`, `1 min 30 s`, `4 d`."""
    seconds = round(seconds, 9)
    for unit_s, unit, rest_s, rest_unit in _UNITS_S:
        if seconds >= unit_s:
            whole, rest = divmod(seconds, unit_s)
            rest = round(rest / rest_s, 3)
            return f"{whole:g} {unit}" + (f" {rest:g} {rest_unit}" if rest else "")
    if seconds == 0:
        return "0"
    if seconds < 1e-3:
        return f"{1e6 * seconds:g} µs"
    return f"{1e3 * seconds:g} ms" if seconds < 1 else f"{seconds:g} s"


def number_name(value: float) -> str:
    """`0.5`, `12,000`, `3 M`, `2e-05`."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:g} {unit}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def _ends(values: Iterable[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else (0.0, 1.0)


def _positive(values: Iterable[float]) -> list[float]:
    """Those that a logarithmic scale has a place for."""
    return [value for value in values if 0 < value < math.inf]


def _multiples(step: float, least: float, most: float, name: Callable[[float], str]) -> Ticks:
    first, last = math.ceil(least / step - 1e-9), math.floor(most / step + 1e-9)
    values = [float(f"{step * count:.12g}") for count in range(first, last + 1)]
    return tuple((value, name(value)) for value in values)


def _thinned(ticks: list[T]) -> list[T]:
    """Every so manyth, so that about MOST_TICKS are left."""
    return ticks[:: max(1, math.ceil(len(ticks) / (MOST_TICKS + 1)))]
