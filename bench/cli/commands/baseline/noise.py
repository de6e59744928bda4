"""Say how often the gate, and others' rules, raise false alarms on this machine, and what they find."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli.baselines import Name
from bench.cli.gate_options import Margin
from bench.cli.options import Results, whole
from bench.documents.limits import MOST_SEEDS
from bench.errors import UsageError
from bench.gate import baseline as baselines
from bench.gate.compare import Limits
from bench.gate.study import COMPARISONS, planted, study
from bench.report.terminal.gate import study_table
from bench.text.console import say
from bench.text.fitting import print_table

EPILOG = (
    "Exit codes: 0 fine, whatever the rates are; 2 wrong usage, too few runs, or not exactly one baseline has such a "
    "name; 3 it cannot be read; 130 stopped by Ctrl-C."
)


def noise(
    name: Name,
    console: Console,
    rounds: Annotated[
        int,
        typer.Option(metavar="N", parser=whole(8, MOST_SEEDS), help="Pairs of runs in a comparison at most."),
    ] = 30,
    margin: Margin = None,
    results: Results = Path("results"),
) -> None:
    """Compare the baseline's runs with one another by every rule; raises UsageError for too few of them."""
    one = baselines.read(baselines.named(results / "baselines", name))
    for label, (quantity, values) in one.times().items():
        try:
            outcomes = study(planted(values), Limits(margin=margin).of(quantity), rounds)
        except ValueError as error:
            raise UsageError(
                f"{label}: {error}; `bench baseline save {one.matrix} --runs 200` makes a longer series"
            ) from None
        say(
            console,
            f"{label}, {quantity.name}: {COMPARISONS} comparisons of {rounds} pairs, drawn as blocks A B B A from "
            f"{len(values)} runs of the same code; a slow-down is planted by multiplying B's times",
        )
        print_table(console, study_table(outcomes))
