"""Two recipes at equal accuracy or cross-entropy, for people and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.gate.equal_quality import EqualQuality, RecipeSide, Terms
from bench.gate.verdict import Verdict
from bench.report.terminal.gate_files import finite
from bench.statistics.estimates import CONFIDENCE, Estimate
from bench.text import units
from bench.text.console import say


def print_equal_quality(console: Console, found: EqualQuality) -> None:
    """Print a row for each recipe, the ratio, and the verdict."""
    terms, step = found.terms, _step(found.base.length.value)
    unit = terms.unit
    table = Table("", "runs", "epochs", f"{unit.noun} to {terms.metric.show(terms.target)}", "rate there")
    for side in (found.base, found.head):
        epochs = ", ".join(f"{one:g}" for one in side.epochs) or units.MISSING
        table.add_row(side.name, str(side.n), epochs, interval(side.length, unit.show), _rates(side, terms, step))
    console.print(table)
    for line in remarks(found):
        say(console, line)


def remarks(found: EqualQuality) -> list[str]:
    """The verdict first, then what a reader must know."""
    ratio, base, head = found.ratio, found.base.name, found.head.name
    metric, unit = found.terms.metric, found.terms.unit
    lines = [
        f"{head} {unit.words[found.verdict]} {base}: at {metric.show(found.terms.target)} its training takes "
        f"{interval(ratio, lambda value: f'{value:.3f}')} {unit.times} (n = {ratio.n}).",
        *found.notes,
    ]
    if ratio.low is None:
        lines.append(
            f"There is no interval: the runs are few, or the {metric.improvement} of the {metric.name} may be chance. "
            "Run more seeds, or other lengths."
        )
    elif found.verdict is Verdict.UNSURE:
        lines.append(f"Not decided within {found.margin:.0%}: run more seeds.")
    if found.shares_rate:
        lines.append(_why_shared(found))
    for side in (found.base, found.head):
        if side.left_out:
            lines.append(
                f"{side.name}: {units.counted(side.left_out, 'run')} left out, for lack of {unit.noun} or of a "
                f"finite {metric.name}."
            )
        if side.is_extrapolated:
            lines.append(
                f"{side.name}: no run is on the other side of the target, so its figures there are extrapolated."
            )
    return lines


def _why_shared(found: EqualQuality) -> str:
    if not found.terms.share_rate:
        return "One of the two has a single length, or too few runs, so both are taken to improve at the same rate."
    if found.rates_p_value is not None and found.rates_p_value < 1 - CONFIDENCE:
        return (
            "Both are taken to improve at the same rate, but theirs differ beyond chance "
            f"(p = {found.rates_p_value:.2g}): leave out --share-rate."
        )
    return "Both are taken to improve at the same rate, as asked, so the ratio is the same at every target."


def to_json(found: EqualQuality) -> str:
    """All figures; accuracies are fractions, and cross-entropies nats. The names of lengths and rates end in their
    unit."""
    terms = found.terms
    sides = {name: _side(side, terms) for name, side in (("base", found.base), ("head", found.head))}
    said = {"at": terms.metric.key, "target": terms.target, "by": terms.unit.name, "ratio": asdict(found.ratio)}
    judged = {
        "shares_rate": found.shares_rate,
        "rates_p_value": found.rates_p_value,
        "verdict": found.verdict.value,
        "margin": found.margin,
        "notes": found.notes,
    }
    # JSON has no infinity: a bound that is none is null.
    return json.dumps(finite(said | sides | judged), indent=2)


def interval(estimate: Estimate, show: Callable[[float | None], str]) -> str:
    """`6 min 26 s (6 min 01 s to 6 min 50 s)`."""
    if estimate.low is None or estimate.high is None:
        return show(estimate.value)
    return f"{show(estimate.value)} ({show(estimate.low)} to {show(estimate.high)})"


def _side(side: RecipeSide, terms: Terms) -> dict[str, Any]:
    renamed = {
        "length": f"length_{terms.unit.symbol}",
        "per_length": f"{terms.metric.key}_per_{terms.unit.symbol}",
        "per_epoch": f"{terms.metric.key}_per_epoch",
    }
    return {renamed.get(name, name): value for name, value in asdict(side).items()}


def _step(length: float) -> float:
    """The power of ten, at most a fifth of the length, that rates are told for."""
    return float(10 ** math.floor(math.log10(length / 5)))


def _rates(side: RecipeSide, terms: Terms, step: float) -> str:
    """The change of the quality with an epoch, if the epochs are known, and with a step of length."""
    rates = [(side.per_epoch, 1.0, "an epoch"), (side.per_length, step, f"in {terms.unit.show_step(step)}")]
    metric = terms.metric
    return "\n".join(
        f"{interval(rate.scaled(metric.scale * times, metric.difference_unit), '{:.2g}'.format)} "
        f"{metric.difference_unit} {per}"
        for rate, times, per in rates
        if rate is not None
    )
