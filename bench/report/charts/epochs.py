"""What a run recorded of its epochs, as points against the time of training."""

from __future__ import annotations

import math

from bench.report.charts.chart import Point
from bench.runs.run import Run
from bench.text import units


def quality_name(run: Run) -> str | None:
    """What the run is judged by, if that is not an accuracy."""
    name = units.get(run.config, "resolved", "quality", "name")
    return name if isinstance(name, str) else None


def words(metric: str) -> str:
    """`frechet distance`."""
    return metric.replace("_", " ")


def epoch_points(run: Run, name: str) -> tuple[Point, ...]:
    """Seconds of training and a number of the epochs, where both are known."""
    pairs = ((_finite(row.get("train_s")), _finite(row.get(name))) for row in run.epochs)
    return tuple((time_s, value) for time_s, value in pairs if time_s is not None and value is not None)


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
