"""What runs say of claims, for a terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.claims.claim import Comparison
from bench.claims.evidence import Answer
from bench.claims.verdict import ClaimFinding, ClaimVerdict
from bench.text import units
from bench.text.console import say
from bench.text.values import FORMATS, show_metric

STYLES = {
    ClaimVerdict.CONFIRMED: "green",
    ClaimVerdict.REFUTED: "red",
    ClaimVerdict.UNSURE: "yellow",
    ClaimVerdict.NOT_TESTABLE: "dim",
}


def print_answers(console: Console, answers: Sequence[Answer]) -> None:
    """A row for each claim with its verdict, below it one for each of its parts, and the counts."""
    table = Table("claim", "statement and its parts", "claimed", "measured (99 %)", "n", "verdict")
    for answer in answers:
        verdict = Text(answer.verdict.value, style=STYLES[answer.verdict])
        table.add_row(
            answer.claim.id, answer.claim.spec.statement, "", "", "", verdict, end_section=not answer.findings
        )
        for position, finding in enumerate(answer.findings, 1):
            told = finding.verdict.value if len(answer.findings) > 1 else ""
            table.add_row(
                "", f"· {finding.comparison.what}", *cells(finding), told, end_section=position == len(answer.findings)
            )
    console.print(table)
    for answer in answers:
        if why := remark(answer):
            say(console, f"{answer.claim.id}: {why}")
    say(console, summary(answers))


def part_verdict(answer: Answer, finding: ClaimFinding) -> str:
    """Of one of several parts; a single one has the claim's."""
    return finding.verdict.value if len(answer.findings) > 1 else ""


def summary(answers: Sequence[Answer]) -> str:
    """Such as `42 claims: 5 confirmed, 3 refuted, 20 unsure (18 of them not measured yet), 14 not testable here`."""
    counts = Counter(answer.verdict for answer in answers)
    unmeasured = sum(answer.is_unmeasured for answer in answers)
    told = {verdict: f"{counts[verdict]} {verdict.value}" for verdict in ClaimVerdict if counts[verdict]}
    if unmeasured:
        told[ClaimVerdict.UNSURE] += f" ({unmeasured} of them not measured yet)"
    return f"{len(answers)} claim{'' if len(answers) == 1 else 's'}: {', '.join(told.values())}"


def cells(finding: ClaimFinding) -> tuple[str, str, str]:
    """What was claimed, what was measured, and n."""
    effect = finding.effect
    if effect is None:
        return show_band(finding.comparison), units.MISSING, "0"
    show = shower(finding.comparison)
    interval = ""
    if effect.low is not None and effect.high is not None and effect.low < effect.high:
        interval = f" ({show(effect.low)} to {show(effect.high)})"
    return show_band(finding.comparison), f"{show(effect.value)}{interval}", str(effect.n)


def show_band(comparison: Comparison) -> str:
    """Such as `< 1.00`, `> 90.50 %` or `2.00 to 3.00`."""
    show, (low, high) = shower(comparison), comparison.claimed.ends
    if math.isinf(high):
        return f"> {show(low)}"
    return f"< {show(high)}" if math.isinf(low) else f"{show(low)} to {show(high)}"


def shower(comparison: Comparison) -> Callable[[float], str]:
    """How values of the quantity are written."""
    if comparison.quantity in ("ratio", "rank_correlation"):
        return _number
    if comparison.quantity == "difference":
        return _points if comparison.metric.endswith("accuracy") else _signed
    if comparison.metric == "parameters":
        return lambda value: f"{value:,.0f}"
    if comparison.metric == "accuracy":
        return lambda value: units.percent(min(max(value, 0.0), 1.0))  # an interval of few runs may reach beyond
    if any(comparison.metric.endswith(ending) for ending, _ in FORMATS):
        return lambda value: show_metric(comparison.metric, value)
    return _number


def remark(answer: Answer) -> str:
    """What stands in the way of a verdict, how many runs would decide, and how many were disturbed."""
    reasons = [answer.reason, *(_reason(answer, finding) for finding in answer.findings if finding.reason)]
    if answer.verdict is ClaimVerdict.UNSURE and not (answer.is_mixed or answer.mistake):
        reasons.append(decides(answer))
    busy = sum(bool(run.metrics.get("contended")) for run in answer.runs)
    if busy:
        reasons.append(f"other processes disturbed {busy} of the {len(answer.runs)} runs")
    return "; ".join(filter(None, reasons))


def _reason(answer: Answer, finding: ClaimFinding) -> str:
    return f"{finding.comparison.what}: {finding.reason}" if len(answer.findings) > 1 else finding.reason


def decides(answer: Answer) -> str:
    """How many runs of each cell would decide, and how long those that are missing take.

    Empty where the parts themselves say why more runs would not.
    """
    if answer.seeds_needed is None:
        open_ones = [finding for finding in answer.findings if finding.verdict is ClaimVerdict.UNSURE]
        if any(finding.effect is None or finding.effect.scatter is None for finding in open_ones):
            return ""
        return "more than a thousand runs of each cell would be needed, if any number decides"
    minutes = answer.minutes_needed
    time = "" if minutes is None else f", {units.duration(60 * minutes)} more"
    more = f" --seeds {answer.seeds_needed}" if answer.seeds_needed > answer.claim.seeds else ""
    runs = units.counted(answer.seeds_needed, "run")
    if not answer.findings:
        about = "" if minutes is None else f", about {units.duration(60 * minutes)}"
        return f"its matrix asks for {runs} of each cell{about}: bench claims {answer.claim.argument}"
    return f"{runs} of each cell would decide{time}: bench claims {answer.claim.argument}{more}"


def _number(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.3g}" if abs(value) >= 100 else f"{value:.2f}"


def _signed(value: float) -> str:
    return _number(value) if math.isinf(value) or not value else f"{value:+.3g}"


def _points(value: float) -> str:
    return f"{100 * value:+.2f} pp" if value else "0 pp"
