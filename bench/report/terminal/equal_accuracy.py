"""Two recipes at equal accuracy, for people and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.gate.equal_accuracy import EqualAccuracy, RecipeSide
from bench.gate.length_unit import LengthUnit
from bench.gate.verdict import Verdict
from bench.report.terminal.gate_files import finite
from bench.statistics.estimates import Estimate
from bench.text import units
from bench.text.console import say


def print_equal_accuracy(console: Console, found: EqualAccuracy) -> None:
    """Print a row for each recipe, the ratio, and the verdict."""
    unit, step = found.unit, _step(found.base.length.value)
    table = Table("", "runs", "epochs", f"{unit.noun} to {units.percent(found.target)}", "rate there")
    for side in (found.base, found.head):
        epochs = ", ".join(f"{one:g}" for one in side.epochs) or units.MISSING
        table.add_row(side.name, str(side.n), epochs, interval(side.length, unit.show), _rates(side, unit, step))
    console.print(table)
    for line in remarks(found):
        say(console, line)


def remarks(found: EqualAccuracy) -> list[str]:
    """The verdict first, then what a reader must know."""
    ratio, base, head = found.ratio, found.base.name, found.head.name
    lines = [
        f"{head} {found.unit.words[found.verdict]} {base}: at {units.percent(found.target)} its training takes "
        f"{interval(ratio, lambda value: f'{value:.3f}')} {found.unit.times} (n = {ratio.n})."
    ]
    if ratio.low is None:
        lines.append(
            "There is no interval: the runs are few, or the rise of the accuracy may be chance. Run more seeds, or "
            "other lengths."
        )
    elif found.verdict is Verdict.UNSURE:
        lines.append(f"Not decided within {found.margin:.0%}: run more seeds.")
    if found.shares_rate:
        lines.append(
            "One of the two has a single length, or too few runs, so both are taken to gain accuracy at the same rate."
        )
    for side in (found.base, found.head):
        if side.left_out:
            lines.append(
                f"{side.name}: {units.counted(side.left_out, 'run')} left out, for lack of {found.unit.noun} or of a "
                "finite accuracy."
            )
        if side.is_extrapolated:
            lines.append(
                f"{side.name}: no run is on the other side of the target, so its figures there are extrapolated."
            )
    return lines


def to_json(found: EqualAccuracy) -> str:
    """All figures; accuracies and rates are fractions. The names of lengths and rates end in their unit."""
    sides = {name: _side(side, found.unit) for name, side in (("base", found.base), ("head", found.head))}
    # JSON has no infinity: a bound that is none is null.
    said = {"target": found.target, "by": found.unit.name, "ratio": asdict(found.ratio)}
    judged = {"shares_rate": found.shares_rate, "verdict": found.verdict.value, "margin": found.margin}
    return json.dumps(finite(said | sides | judged), indent=2)


def interval(estimate: Estimate, show: Callable[[float | None], str]) -> str:
    """`6 min 26 s (6 min 01 s to 6 min 50 s)`."""
    if estimate.low is None or estimate.high is None:
        return show(estimate.value)
    return f"{show(estimate.value)} ({show(estimate.low)} to {show(estimate.high)})"


def _side(side: RecipeSide, unit: LengthUnit) -> dict[str, Any]:
    renamed = {
        "length": f"length_{unit.symbol}",
        "per_length": f"accuracy_per_{unit.symbol}",
        "per_epoch": "accuracy_per_epoch",
    }
    return {renamed.get(name, name): value for name, value in asdict(side).items()}


def _step(length: float) -> float:
    """The power of ten, at most a fifth of the length, that rates are told for."""
    return float(10 ** math.floor(math.log10(length / 5)))


def _rates(side: RecipeSide, unit: LengthUnit, step: float) -> str:
    """Percentage points for each epoch, if the epochs are known, and for each step of length."""
    rates = [(side.per_epoch, 1.0, "an epoch"), (side.per_length, step, f"in {unit.show_step(step)}")]
    return "\n".join(
        f"{interval(rate.scaled(100 * times, 'points'), '{:.2g}'.format)} points {per}"
        for rate, times, per in rates
        if rate is not None
    )
