"""Two recipes at equal accuracy, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from bench.gate.equal_accuracy import EqualAccuracy, RecipeSide
from bench.gate.verdict import Verdict
from bench.report.terminal.gate_files import finite
from bench.statistics.estimates import Estimate
from bench.text import units
from bench.text.console import say

SECONDS_OF_RATE = 10.0
WORDS = {
    Verdict.SAME: "is as fast as",
    Verdict.BETTER: "is faster than",
    Verdict.WORSE: "is slower than",
    Verdict.UNSURE: "may be faster or slower than",
}


def print_equal_accuracy(console: Console, found: EqualAccuracy) -> None:
    """Print a row for each recipe, the ratio, and the verdict."""
    table = Table("", "runs", "epochs", f"time to {units.percent(found.target)}", "rate there")
    for side in (found.base, found.head):
        epochs = ", ".join(f"{length:g}" for length in side.lengths) or units.MISSING
        table.add_row(side.name, str(side.n), epochs, interval(side.time_s, units.duration), _rates(side))
    console.print(table)
    for line in remarks(found):
        say(console, line)


def remarks(found: EqualAccuracy) -> list[str]:
    """The verdict first, then what a reader must know."""
    ratio, base, head = found.ratio, found.base.name, found.head.name
    lines = [
        f"{head} {WORDS[found.verdict]} {base}: at {units.percent(found.target)} its training takes "
        f"{interval(ratio, lambda value: f'{value:.3f}')} times as long (n = {ratio.n})."
    ]
    if ratio.low is None:
        lines.append("There is no interval: the rise of the accuracy may be chance. Run more seeds, or other lengths.")
    elif found.verdict is Verdict.UNSURE:
        lines.append(f"Not decided within {found.margin:.0%}: run more seeds.")
    if found.shares_rate:
        lines.append("One of the two has a single length, so both are taken to gain accuracy at the same rate.")
    for side in (found.base, found.head):
        if side.is_extrapolated:
            lines.append(
                f"{side.name}: no run is on the other side of the target, so its time lies outside of its runs."
            )
    return lines


def to_json(found: EqualAccuracy) -> str:
    """All figures; accuracies and rates are fractions."""
    sides = {name: asdict(side) for name, side in (("base", found.base), ("head", found.head))}
    # JSON has no infinity: a bound that is none is null.
    said = {"target": found.target, "ratio": asdict(found.ratio), "shares_rate": found.shares_rate}
    whole = said | sides | {"verdict": found.verdict.value, "margin": found.margin}
    return json.dumps(finite(whole), indent=2)


def interval(estimate: Estimate, show: Callable[[float | None], str]) -> str:
    """`6 min 26 s (6 min 01 s to 6 min 50 s)`."""
    if estimate.low is None or estimate.high is None:
        return show(estimate.value)
    return f"{show(estimate.value)} ({show(estimate.low)} to {show(estimate.high)})"


def _rates(side: RecipeSide) -> str:
    """Percentage points for each epoch, if the epochs are known, and for each ten seconds."""
    per_s = side.points_per_s.scaled(100 * SECONDS_OF_RATE, "points")
    told = [f"{interval(per_s, lambda value: f'{value:.2g}')} points in {SECONDS_OF_RATE:g} s"]
    if side.points_per_epoch is not None:
        per_epoch = side.points_per_epoch.scaled(100, "points")
        told.insert(0, f"{interval(per_epoch, lambda value: f'{value:.2g}')} points an epoch")
    return "\n".join(told)
