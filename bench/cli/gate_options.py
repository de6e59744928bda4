"""Options of the speed gate: what counts as the same, how undecided comparisons count, and the report."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import completion
from bench.cli.options import Out
from bench.documents.limits import MOST_SECONDS
from bench.gate.compare import Limits

GATE_EXIT_CODES = (
    "Exit codes: 0 no regression found, or not decided, which the headline says; 1 a regression, or not decided with "
    "--unsure fail; 2 wrong usage or config; 3 nothing to compare with (no baseline, a base that cannot be run), or "
    "hardware missing; 4 not decided, with --unsure own-code; 130 stopped by Ctrl-C."
)
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str | float) -> float:
    """For `typer.Option(parser=…)`: a duration with its unit."""
    if isinstance(text, float):
        return text
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(ns|us|ms|s|m|h)", text.strip())
    found = float(match[1]) * _UNITS_S[match[2]] if match else None
    if found is None or found > MOST_SECONDS:
        raise typer.BadParameter(
            f"{text[:40]!r}: give a number and a unit, ns, us, ms, s, m or h, as in 5m; {MOST_SECONDS:,}s at most"
        )
    return found


def fraction(text: str | float) -> float:
    """For `typer.Option(parser=…)`: `3%` as 0.03."""
    if isinstance(text, float):
        return text
    match = re.fullmatch(r"([0-9]{1,2}(?:\.[0-9]{1,9})?)\s*%", text.strip())
    if match is None or not 0 < float(match[1]) < 100:
        raise typer.BadParameter(f"{text[:40]!r}: give percent, more than 0% and less than 100%, as in 3%")
    return float(match[1]) / 100


class UnsureChoice(StrEnum):
    say = "say"
    pass_ = "pass"
    fail = "fail"
    own_code = "own-code"


class ReportFormat(StrEnum):
    terminal = "terminal"
    markdown = "markdown"
    json = "json"
    junit = "junit"


Margin = Annotated[
    float | None,
    typer.Option(
        "--margin",
        metavar="PERCENT",
        parser=fraction,
        help="A time that changes by less counts as the same; default: 3%, for a command 2%.",
    ),
]
Matrices = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MATRIX]…",
        help="What to measure; default: bench.yaml, of bench itself the gate_ ones.",
        autocompletion=completion.matrices,
    ),
]


@dataclass(frozen=True)
class Margins:
    """What counts as the same."""

    margin: Margin = None
    accuracy_margin: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT",
            parser=fraction,
            help="The same for an accuracy, in percentage points; default: 0.2%.",
        ),
    ] = None
    floor_s: Annotated[
        float | None,
        typer.Option(
            "--floor",
            metavar="TIME",
            parser=seconds,
            help="A change of a time below this never counts; default: 10us, for files of pytest-benchmark 1ns.",
        ),
    ] = None
    unsure: Annotated[
        UnsureChoice,
        typer.Option(
            help="If undecided: say and pass exit with 0 (in JUnit: skipped, passed), fail with 1, own-code with 4."
        ),
    ] = UnsureChoice.say

    @property
    def limits(self) -> Limits:
        return Limits(margin=self.margin, accuracy_margin=self.accuracy_margin, floor_s=self.floor_s)


@dataclass(frozen=True)
class ReportOutput:
    """In which form the verdict goes where."""

    format: Annotated[ReportFormat, typer.Option("--format", "-f", help="markdown is for a pull request.")] = (
        ReportFormat.terminal
    )
    out: Out = None
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML here.")] = None
