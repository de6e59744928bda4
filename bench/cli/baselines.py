"""Which baseline a command means, and what is said of it."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.gate.baseline import Baseline
from bench.gate.paired_comparison import ROUNDS
from bench.gate.subject import name_of

Name = Annotated[str, typer.Argument(help="Its name in `bench baseline list`, or the beginning of it.")]


def code_of(one: Baseline) -> str:
    return name_of(one.code, "no commit")


def noise_of(one: Baseline) -> str:
    noise = one.noise()
    if not noise:
        return "too few runs to know the noise"
    told = [
        f"{label}: neighbouring runs differ by {deviation:.1%} (sd), so that {ROUNDS} rounds can show {floor:.1%}"
        for (label, deviation), floor in zip(noise.items(), one.floors(ROUNDS).values(), strict=True)
    ]
    return "; ".join(told)


def floors_of(one: Baseline) -> str:
    floors = one.floors(ROUNDS)
    return f"{max(floors.values()):.1%}" if floors else "unknown"
