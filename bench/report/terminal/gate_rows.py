"""A gate's report as words: a row for each figure, a line for each reason, a sentence on how it was measured."""

from __future__ import annotations

from bench.gate.cause import Part
from bench.gate.quantity import Quantity, points
from bench.gate.report import GateFinding, Report
from bench.gate.verdict import Judgement, Verdict
from bench.text import units

COLUMNS = ("cell", "figure", "verdict", "base", "head", "change", "interval", "n")


def row(finding: GateFinding) -> list[str]:
    judgement = finding.judgement
    if judgement is None:
        return [finding.cell, "", finding.word, "", "", "", "", ""]
    quantity = judgement.quantity
    change, interval = _change(judgement, quantity)
    return [
        finding.cell,
        quantity.name,
        finding.word,
        quantity.show(judgement.base),
        quantity.show(judgement.head),
        change,
        interval,
        f"{judgement.n} hosts" if judgement.hosts else str(judgement.n or ""),
    ]


def reasons(report: Report) -> list[str]:
    """A line for each finding that needs one; a cell whose figures all have the same reason has one."""
    figures: dict[tuple[str, str], list[str]] = {}
    for finding in report.findings:
        judgement = finding.judgement
        if finding.why:
            more = ""
            if judgement is not None and judgement.rounds_needed is not None:
                unit = "hosts" if judgement.hosts else "of each"
                more = f"; about {judgement.rounds_needed} {unit} would decide"
            elif _is_open(finding):
                more = "; no reasonable number of runs would decide, another --margin might"
            figure = [judgement.quantity.name] if judgement is not None else []
            figures.setdefault((finding.cell, f"{finding.word}: {finding.why}{more}"), []).extend(figure)
    told = [f"{', '.join([cell, *names])}: {why}" for (cell, why), names in figures.items()]
    return [*dict.fromkeys(line for finding in report.findings for line in causes(finding)), *told]


def _is_open(finding: GateFinding) -> bool:
    """Whether more rounds are what would decide, if any number of them did."""
    judgement = finding.judgement
    has_change = judgement is not None and judgement.change is not None and not judgement.withdrawn
    return finding.verdict is Verdict.UNSURE and has_change


def causes(finding: GateFinding) -> list[str]:
    """A line for what is slower, with what explains most of it first."""
    return [f"{finding.cell}: slower because of {'; '.join(map(_part, finding.cause))}"] if finding.cause else []


def _part(part: Part) -> str:
    return (
        f"{part.kind} {part.name}: {units.duration(part.base_s)} → {units.duration(part.head_s)} "
        f"({part.share:.0%} of the difference)"
    )


def measured(report: Report) -> str:
    rounds = f", {report.rounds} rounds at most" if report.rounds else ""
    took = f" in {units.duration(report.seconds)}" if report.seconds is not None else ""
    machine = f" on {report.machine['cpu_model']}" if report.machine.get("cpu_model") else ""
    times = report.times
    over_all = f" Geometric mean of {times.n} times: {_as_percent(times.value)}." if times else ""
    return f"{report.head.name} against {report.base.name}{rounds}{took}{machine}.{over_all}"


def _change(judgement: Judgement, quantity: Quantity) -> tuple[str, str]:
    change = judgement.change
    if change is None:
        return units.MISSING, ""
    show = points if quantity.scale == "difference" else _as_percent
    if change.low is None or change.high is None:
        return show(change.value), "none yet"
    return show(change.value), f"[{show(change.low)}, {show(change.high)}]"


def _as_percent(ratio: float | None) -> str:
    return units.MISSING if ratio is None else f"{100 * (ratio - 1):+.1f} %"
