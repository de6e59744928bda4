"""What `bench claims` is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import DataDir, Device, DeviceChoice, Results, whole
from bench.documents.limits import MOST_SECONDS, MOST_SEEDS
from bench.errors import UsageError

# Where nothing is named and no budget given.
USUAL_BUDGET_S = 3600.0
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


class ClaimsFormat(StrEnum):
    terminal = "terminal"
    markdown = "markdown"
    html = "html"


@dataclass(frozen=True)
class ClaimsOptions:
    """Which claims; with `runs` nothing is measured and these files alone are read."""

    names: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]…", help="Only these: S06, 6, or a claim's .yaml file.")
    ] = None
    list_only: Annotated[bool, typer.Option("--list", help="List the claims and measure nothing.")] = False
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time for measuring: 90s, 30m, 2h. Default: 1h, and any for named claims."),
    ] = None
    seeds: Annotated[
        int | None,
        typer.Option(metavar="N", parser=whole(1, MOST_SEEDS), help="Seeds of each cell, if more than its matrix has."),
    ] = None
    runs: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Measure nothing; judge by the runs in this file or folder. Repeatable."),
    ] = None
    format: Annotated[ClaimsFormat, typer.Option("--format", "-f", help="markdown and html are pages.")] = (
        ClaimsFormat.terminal
    )
    out: Annotated[Path | None, typer.Option(help="Write the page here; for markdown and html.")] = None
    data_dir: DataDir = None
    device: Device = DeviceChoice.auto
    results: Results = Path("results")


def budget_s(options: ClaimsOptions) -> float | None:
    """Seconds of `30m`, `90s` or `1h`; None, for any number, where claims are named and no budget is given.

    Raises `UsageError` for anything else.
    """
    text = options.budget
    if text is None:
        return None if options.names else USUAL_BUDGET_S
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smh])", text)
    seconds = float(match[1]) * _UNITS_S[match[2]] if match else 0.0
    if not 0 < seconds <= MOST_SECONDS:
        raise UsageError(f"--budget {text[:40]}: give a time such as 90s, 30m or 2h")
    return seconds
