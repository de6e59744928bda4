"""A gate's report for programs: JSON with every number, and JUnit XML for a CI's list of tests."""

from __future__ import annotations

import json
import math
import re
from typing import Any
from xml.etree import ElementTree

from bench.gate.report import REGRESSIONS, GateFinding, Report
from bench.report.terminal.gate_rows import COLUMNS, causes, row

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_json(report: Report) -> str:
    """Every number, with the verdicts as words."""
    return json.dumps(
        finite({
            "exit_code": report.exit_code,
            "outcome": report.outcome,
            "headline": report.headline,
            "base": {"name": report.base.name, "code": dict(report.base.code)},
            "head": {"name": report.head.name, "code": dict(report.head.code)},
            "machine": dict(report.machine),
            "seconds": report.seconds,
            "rounds": report.rounds,
            "times": {"change": report.times.value, "n": report.times.n} if report.times else None,
            "notes": list(report.notes),
            "findings": [_as_json(finding) for finding in report.findings],
        }),
        indent=1,
        allow_nan=False,
    ) + "\n"  # fmt: skip


def to_junit(report: Report) -> str:
    """A test case for each figure: a regression is a failure; what is unsure or has no baseline is skipped.

    With `--unsure fail` what is unsure fails, with `--unsure pass` it passes.
    """
    suite = ElementTree.Element(
        "testsuite",
        name="speed gate",
        tests=str(len(report.findings)),
        failures=str(sum(map(report.fails, report.findings))),
        errors="0",
        skipped=str(sum(map(report.is_skipped, report.findings))),
        time=f"{report.seconds or 0:.3f}",
    )
    for finding in report.findings:
        cell, figure, verdict, *_ = figures = [_in_xml(text) for text in row(finding)]
        case = ElementTree.SubElement(suite, "testcase", classname=cell, name=figure or finding.measure or "cell")
        message = _in_xml(f"{verdict}: {finding.why}" if finding.why else verdict)
        fails = report.fails(finding)
        is_skipped = report.is_skipped(finding)
        details = "\n".join(f"{name}: {value}" for name, value in zip(COLUMNS, figures, strict=True) if value)
        details += "".join(f"\n{_in_xml(line)}" for line in causes(finding))
        if fails:
            ElementTree.SubElement(case, "failure", message=message, type=verdict).text = details
        elif is_skipped:
            ElementTree.SubElement(case, "skipped", message=message)
        ElementTree.SubElement(case, "system-out").text = details
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _in_xml(text: str) -> str:
    """Without the characters that no XML may hold, such as the colours of a log."""
    return NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def finite(value: Any) -> Any:
    """With null for what JSON has no number for."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    return [finite(one) for one in value] if isinstance(value, list | tuple) else value


def _as_json(finding: GateFinding) -> dict[str, Any]:
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
        "cause": [vars(part) for part in finding.cause],
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
