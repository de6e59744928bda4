"""Values of metrics formatted for people, according to the unit at the end of the metric's name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from bench.text import units

FORMATS: tuple[tuple[str, Callable[[float | None], str]], ...] = (
    ("per_s", units.rate),
    ("_s", units.duration),
    ("_ms", units.milliseconds),
    ("_j", units.energy),
    ("_bytes", units.size),
    ("accuracy", units.percent),
    ("efficiency", units.percent),
    ("_dollars", units.dollars),
    ("flops", units.count),
    ("parameters", units.count),
)


def show_metric(name: str, value: Any) -> str:
    """A value of the metric `name`, unchanged if the name ends in no known unit."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return units.MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if not math.isfinite(value):
            return str(value)
        show = next((show for ending, show in FORMATS if name.endswith(ending)), None)
        return show(value) if show else f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
    return str(value)
