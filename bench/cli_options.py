"""Options that several of the command lines have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class DeviceChoice(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


DataDir = Annotated[
    Path | None,
    typer.Option("--data", help="Where data sets are looked for first; then $BENCH_DATA, then data/."),
]
Device = Annotated[DeviceChoice, typer.Option(help="auto takes a usable GPU where there is one.")]
