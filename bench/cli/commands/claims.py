"""Test statements of three lectures: measure what is missing, the cheapest first, and give each a verdict.

Verdicts come from recorded runs alone: confirmed, refuted, unsure (with the runs that would decide), or not testable
here (with what is missing).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.claims import catalog
from bench.cli.options import DataDir, Device, DeviceChoice, Results, whole
from bench.documents.limits import MOST_SECONDS, MOST_SEEDS
from bench.errors import UsageError
from bench.report.terminal.claim_list import print_list

EPILOG = (
    "Exit codes: 0 each claim has a verdict or cannot be tested here; 1 runs failed, or may not be compared; 2 wrong "
    "usage, claim or matrix; 3 none of them can be tested here; 130 stopped by Ctrl-C, once after the present run, "
    "twice at once; the same command goes on."
)
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


def claims(options: ClaimsOptions, console: Console) -> int:
    """Raises `UsageError` for a mistake in a claim or in the options."""
    if options.list_only:
        print_list(console, catalog.chosen(options.names or ()))
        return 0
    # It brings the statistics, which take longer than the list.
    from bench.cli.claim_session import measure_and_judge

    return measure_and_judge(options, console)


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
