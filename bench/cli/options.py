"""Options that several of the command lines have."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.documents import core_schema
from bench.documents.limits import MOST_SECONDS


class DeviceChoice(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


DataDir = Annotated[
    Path | None,
    typer.Option("--data", help="Where data sets are looked for first; then $BENCH_DATA, then data/."),
]
Device = Annotated[DeviceChoice, typer.Option(help="auto takes a usable GPU where there is one.")]


def whole(least: int, most: int) -> Callable[[str | int], int]:
    """For `typer.Option(parser=…)`: a whole number from `least` to `most`, written as recipes have it."""

    def read(text: str | int) -> int:
        try:
            number = core_schema.number(str(text))
        except ValueError:
            number = None
        if not isinstance(number, int) or not least <= number <= most:
            raise typer.BadParameter(f"{str(text)[:40]!r}: give a whole number from {least:,} to {most:,}")
        return number

    return read


def seconds_to_wait(text: str | float) -> float:
    """For `typer.Option(parser=…)`: a number of seconds, 0 or more."""
    try:
        number = float(core_schema.number(str(text)))
    except ValueError:
        number = -1.0
    if not 0 <= number <= MOST_SECONDS:
        raise typer.BadParameter(f"{str(text)[:40]!r}: give seconds, 0 to {MOST_SECONDS:,}")
    return number
