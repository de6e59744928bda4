"""A gate's report for programs: JSON with every number, and JUnit XML for a CI's list of tests."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

from bench.gate.report import REGRESSIONS, Finding, Report
from bench.gate.verdict import Verdict
from bench.report.gate_rows import COLUMNS, row


def to_json(report: Report) -> str:
    """Every number, with the verdicts as words."""
    return json.dumps(
        {
            "exit_code": report.exit_code,
            "headline": report.headline,
            "base": {"name": report.base.name, "code": dict(report.base.code)},
            "head": {"name": report.head.name, "code": dict(report.head.code)},
            "machine": dict(report.machine),
            "seconds": report.seconds,
            "rounds": report.rounds,
            "notes": list(report.notes),
            "findings": [_as_json(finding) for finding in report.findings],
        },
        indent=1,
    ) + "\n"  # fmt: skip


def to_junit(report: Report) -> str:
    """A test case for each figure: a regression is a failure; what is unsure or has no baseline is skipped.

    With `--unsure fail` what is unsure fails, with `--unsure pass` it passes.
    """
    counts = report.counts
    unsure = counts[Verdict.UNSURE]
    failures = len(report.regressions) + (unsure if report.unsure == "fail" else 0)
    skipped = counts[Verdict.NO_BASELINE] + (unsure if report.unsure == "say" else 0)
    suite = ElementTree.Element(
        "testsuite",
        name="speed gate",
        tests=str(len(report.findings)),
        failures=str(failures),
        errors="0",
        skipped=str(skipped),
        time=f"{report.seconds or 0:.3f}",
    )
    for finding in report.findings:
        cell, figure, verdict, *_ = figures = row(finding)
        case = ElementTree.SubElement(suite, "testcase", classname=cell, name=figure or finding.measure or "cell")
        message = f"{verdict}: {finding.why}" if finding.why else verdict
        fails = finding.verdict in REGRESSIONS or (finding.verdict is Verdict.UNSURE and report.unsure == "fail")
        is_skipped = finding.verdict is Verdict.NO_BASELINE or (
            finding.verdict is Verdict.UNSURE and report.unsure == "say"
        )
        details = "\n".join(f"{name}: {value}" for name, value in zip(COLUMNS, figures, strict=True) if value)
        if fails:
            ElementTree.SubElement(case, "failure", message=message, type=verdict).text = details
        elif is_skipped:
            ElementTree.SubElement(case, "skipped", message=message)
        ElementTree.SubElement(case, "system-out").text = details
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _as_json(finding: Finding) -> dict[str, Any]:
    judgement = finding.judgement
    told: dict[str, Any] = {
        "cell": finding.cell,
        "measure": finding.measure,
        "verdict": finding.word,
        "regression": finding.verdict in REGRESSIONS,
        "reason": finding.why,
    }
    if judgement is None:
        return told
    change = judgement.change
    return told | {
        "metric": judgement.quantity.metric,
        "base": judgement.base,
        "head": judgement.head,
        "change_is": "head / base" if judgement.quantity.scale == "ratio" else "head - base",
        "change": change.value if change else None,
        "low": change.low if change else None,
        "high": change.high if change else None,
        "confidence": change.confidence if change else None,
        "method": change.method if change else None,
        "n": judgement.n,
        "p": judgement.p,
        "margin": judgement.quantity.margin,
        "floor": judgement.quantity.floor,
        "not_worse": judgement.not_worse,
        "rounds_needed": judgement.rounds_needed,
    }
