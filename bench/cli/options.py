"""Options that several commands have, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import completion
from bench.documents import core_schema
from bench.documents.limits import MOST_SECONDS

EXIT_CODES = (
    "Exit codes: 0 fine; 1 the check failed (target not reached, regression); "
    "2 wrong usage or config; 3 data or hardware missing; 130 stopped by Ctrl-C."
)


class DeviceChoice(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


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


RecipeName = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A shipped recipe (see `bench recipes`) or a .yaml file.",
        autocompletion=completion.recipes,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a recipe's value; repeatable.",
        autocompletion=completion.settings,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data", help="Where data sets are looked for first; then $BENCH_DATA, then data/."),
]
Device = Annotated[DeviceChoice, typer.Option(help="auto takes a usable GPU where there is one.")]
Price = Annotated[
    str | None,
    typer.Option(
        help="Dollars per hour of this machine, or a name in `bench prices`, such as p3.16xlarge.",
        autocompletion=completion.prices,
    ),
]
Pin = Annotated[
    str | None,
    typer.Option(metavar="FINGERPRINT", help="Only this machine or host: how its machine.id or machine.host begins."),
]
Results = Annotated[Path, typer.Option("--results", help="Where runs, logs, baselines and caches are kept.")]
SamplingTimeout = Annotated[
    float | None,
    typer.Option(
        "--sampling-timeout",
        metavar="SECONDS",
        parser=seconds_to_wait,
        help="The longest time to sample a figure (60); for --measure throughput, inference and loading.",
    ),
]
RunFiles = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE]…", help="Files of runs, or folders of them, instead of those below --results."),
]
Out = Annotated[Path | None, typer.Option(help="Write it here.")]
