"""The quantities that the gate judges: the metric, which direction is worse, and how much matters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from bench.text import units

MiB = 2.0**20


def points(fraction: float | None) -> str:
    """A difference of accuracies, in percentage points."""
    return units.MISSING if fraction is None else f"{100 * fraction:+.2f} pp"


@dataclass(frozen=True)
class Quantity:
    """A metric of a run that may become worse.

    A `ratio` is judged by ranks of its logarithm, a `difference` by means. `margin` is the change that still counts as
    the same: 0.03 is 3 % of a ratio, or 3 percentage points. A change of a ratio below `floor`, in the metric's unit,
    never matters. `words` are those for better and worse. A quantity that is not `in_gate` is a single sample of a run,
    too noisy for the gate, which other cells cover better. If runs lack a quantity with `missed`, head is worse if it
    lacks it more often; it is judged only if all runs have it.
    """

    metric: str
    name: str
    scale: Literal["ratio", "difference"]
    larger_is_worse: bool
    margin: float
    floor: float
    words: tuple[str, str]
    show: Callable[[float | None], str]
    in_gate: bool = True
    missed: bool = False

    @property
    def is_time(self) -> bool:
        """Whether it is a time or a rate, which the margin and the floor of times are for."""
        return self.words == FASTER_SLOWER


FASTER_SLOWER = ("faster", "slower")
TIME_MARGIN = 0.03
# Runs of a command take seconds, so their times vary less.
COMMAND_MARGIN = 0.02
# The cost of calling a kernel from Python; smaller changes do not matter.
TIME_FLOOR_S = 10e-6
# Benchmarks of single calls may take less in total; no clock resolves a nanosecond.
CALL_FLOOR_S = 1e-9
# Memory peaks of equal code differ by less than 0.1 %, and a gate cell is too short for a leak to grow large.
MEMORY_MARGIN = 0.02


def _time(metric: str, name: str, floor: float = TIME_FLOOR_S) -> Quantity:
    return Quantity(metric, name, "ratio", True, TIME_MARGIN, floor, FASTER_SLOWER, units.duration)


def _of_command(metric: str, name: str) -> Quantity:
    return replace(_time(metric, name), margin=COMMAND_MARGIN)


def _memory(metric: str, name: str) -> Quantity:
    return Quantity(metric, name, "ratio", True, MEMORY_MARGIN, 4 * MiB, ("less memory", "more memory"), units.size)


ACCURACY = Quantity(
    "accuracy", "accuracy", "difference", False, 0.002, 0.0, ("more accurate", "less accurate"), units.percent
)
_MEMORY = (_memory("peak_host_bytes", "peak memory"), _memory("peak_device_bytes", "peak device memory"))

# By measure; quantities that a run lacks are left out. Times are the minimum in a run, because disturbances only add:
# on two busy cores, medians of neighbouring runs of a step differed by 5 %, minima by 2 %.
QUANTITIES: dict[str, tuple[Quantity, ...]] = {
    "throughput": (_time("step_min_s", "training step"), *_MEMORY),
    "loading": (_time("epoch_min_s", "epoch of the loader"), *_MEMORY),
    "inference": (
        Quantity(
            "latency_min_ms",
            "latency",
            "ratio",
            True,
            TIME_MARGIN,
            TIME_FLOOR_S * 1000,
            FASTER_SLOWER,
            units.milliseconds,
        ),
        Quantity(
            "samples_per_s_at_256",
            "rate at batch size 256",
            "ratio",
            False,
            TIME_MARGIN,
            0.0,
            FASTER_SLOWER,
            units.rate,
            in_gate=False,
        ),
        *_MEMORY,
    ),
    "time_to_accuracy": (
        ACCURACY,
        replace(_time("train_s", "training"), in_gate=False),
        replace(_time("time_to_target_s", "time to target"), missed=True),
        *_MEMORY,
    ),
    # Of a command: wall time and memory are measured from outside, the others are reported by it.
    "command": (
        _of_command("wall_s", "wall time"),
        _of_command("train_s", "training"),
        _of_command("step_s", "training step"),
        _of_command("epoch_min_s", "least epoch"),
        replace(_of_command("samples_per_s", "samples/s"), larger_is_worse=False, floor=0.0, show=units.rate),
        ACCURACY,
        replace(_of_command("time_to_target_s", "time to target"), missed=True),
        *_MEMORY,
    ),
    # Of pytest-benchmark's saved files.
    "benchmark": (_time("min_s", "least time", CALL_FLOOR_S),),
}


def quantity_of(measure: str, metric: str) -> Quantity | None:
    """What is known of a metric; None of one that cannot be judged.

    A command may report figures of its own, which are judged by the unit that their names end in.
    """
    for known in QUANTITIES.get(measure, ()):
        if known.metric == metric:
            return known
    if measure != "command":
        return None
    if metric.endswith("_per_s"):
        return replace(_of_command(metric, metric), larger_is_worse=False, floor=0.0, show=units.rate)
    if metric.endswith("_s"):
        return _of_command(metric, metric)
    return _memory(metric, metric) if metric.endswith("_bytes") else None


def judged_as(measure: str, config: Mapping[str, object]) -> str:
    """The key of QUANTITIES for a run of this measure and config."""
    return "command" if "command" in config else measure
