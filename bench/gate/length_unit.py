"""By what the length of a training is measured, where two recipes are compared at the same accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.gate.verdict import Verdict
from bench.text import units


@dataclass(frozen=True)
class LengthUnit:
    """A unit of lengths: the metric that counts it, by measure, and how a comparison speaks of it.

    `symbol` ends the names of keys, as in `accuracy_per_s`. `show_step` prints a power of ten. `words` say how head
    compares with base, and `times` what the ratio counts.
    """

    name: str
    symbol: str
    metrics: Mapping[str, str]
    depends_on_machine: bool
    noun: str
    times: str
    show: Callable[[float | None], str]
    show_step: Callable[[float], str]
    words: Mapping[Verdict, str]


SECONDS = LengthUnit(
    "seconds",
    "s",
    {"time_to_accuracy": "train_s", "command": "wall_s"},
    depends_on_machine=True,
    noun="time",
    times="times as long",
    show=units.duration,
    show_step="{:g} s".format,
    words={
        Verdict.SAME: "is as fast as",
        Verdict.BETTER: "is faster than",
        Verdict.WORSE: "is slower than",
        Verdict.UNSURE: "may be faster or slower than",
    },
)
FLOP = LengthUnit(
    "flop",
    "flop",
    {"time_to_accuracy": "train_flops"},
    depends_on_machine=False,
    noun="FLOPs",
    times="times as many FLOPs",
    show=units.flop,
    show_step=units.flop,
    words={
        Verdict.SAME: "needs as many FLOPs as",
        Verdict.BETTER: "needs fewer FLOPs than",
        Verdict.WORSE: "needs more FLOPs than",
        Verdict.UNSURE: "may need fewer or more FLOPs than",
    },
)
LENGTH_UNITS = {unit.name: unit for unit in (SECONDS, FLOP)}
