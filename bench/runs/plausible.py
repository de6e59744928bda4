"""Impossible numbers in records: such a record is kept but not ranked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.runs.run import Run

# Endings of metrics' names: none of these can be negative, and the last ones cannot be zero.
NOT_NEGATIVE = ("_s", "_ms", "_j", "_bytes", "_usd", "_error", "flops", "epochs", "steps", "examples", "parameters")
POSITIVE = ("latency_mean_ms", "latency_p50_ms", "samples_per_s", "time_to_target_s", "train_s", "total_s")
# Rounding may swap the end of a span and the beginning of the next by the last bits.
CLOCK_STEP_S = 1e-6


def impossible(run: Run) -> Iterator[str]:
    """The impossible facts of a run, in words: times that run backwards, shares above one, a status that contradicts
    the numbers."""
    yield from _impossible_spans(run)
    yield from _impossible_metrics(run)
    accuracy, target = run.metrics.get("accuracy"), run.metrics.get("target_accuracy")
    target = run.config.get("target_accuracy") if target is None else target
    # An imported entry ends with the first epoch at the target, whatever came after it.
    looked = [row.get("accuracy") for row in run.epochs] if run.config.get("imported") else []
    reached = any(isinstance(one, int | float) and target is not None and one >= target for one in looked)
    if run.status == "ok" and accuracy is not None and target is not None and accuracy < target and not reached:
        yield f"its status is ok, with {accuracy:.2%} of a target of {target:.2%}"
    shares: list[tuple[str, float | str | None]] = [("final accuracy", accuracy), ("target", target)]
    shares += [(f"accuracy of epoch {row.get('epoch')}", row.get("accuracy")) for row in run.epochs]
    for name, share in shares:
        if share is not None and not _is_diverged(run, share) and not 0 <= float(share) <= 1:
            yield f"its {name} is {float(share):.4g}, and should be from 0 to 1"
            break
    if run.price_per_hour is not None and not 0 <= run.price_per_hour < math.inf:
        yield f"its price is {run.price_per_hour} dollars an hour"


def _impossible_spans(run: Run) -> Iterator[str]:
    for span in run.spans:
        start_s, end_s = span["start_s"], span["end_s"]
        if not (math.isfinite(start_s) and math.isfinite(end_s)):
            yield f"its span {span['name']} goes from {start_s} to {end_s} s"
        elif start_s < 0:
            yield f"its span {span['name']} begins {-start_s:.4g} s before the command"
        elif end_s < start_s - CLOCK_STEP_S:
            yield f"its span {span['name']} ends {start_s - end_s:.4g} s before it begins"
        else:
            continue
        return


def _impossible_metrics(run: Run) -> Iterator[str]:
    for name, value in run.metrics.items():
        if value is None or isinstance(value, bool):
            continue
        if value < 0 and name.endswith(NOT_NEGATIVE):
            yield f"its {name} is {value:.4g}, below zero"
        elif value == 0 and name in POSITIVE:
            yield f"its {name} is zero"


def _is_diverged(run: Run, share: float | int | bool | str) -> bool:
    """Whether this is the result of a training that diverged, which no rule counts as a success."""
    return run.status not in ("ok", "not_reached") and isinstance(share, float) and math.isnan(share)
