"""Verdicts on claims as a page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from bench.claims.cells import Claim
from bench.claims.evidence import Answer
from bench.report.terminal.claims import cells, part_verdict, remark, summary
from bench.text.units import counted

# What a page of verdicts says of the way to them.
METHOD = (
    "Measured: the mean, in brackets its 99 % interval, and n, the pairs of equal seeds (of a value the runs, of a "
    "rank correlation the cells). A claim is confirmed where the whole interval lies in the claimed band, refuted "
    "where it lies outside or leaves no difference that matters, and unsure otherwise. A claim of several parts is "
    "confirmed where all parts are, and refuted where one is."
)


def to_markdown(answers: Sequence[Answer], heading: str) -> str:
    """A page: where and when it was measured, the table, and what stands in the way of the unsure ones."""
    lines = [
        "# Claims",
        "",
        heading,
        "",
        METHOD,
        "",
        *(f"- {line}" for line in origins(answers)),
        "",
        f"{summary(answers)}.",
        "",
    ]
    lines += ["| Claim | Statement and its parts | Claimed | Measured | n | Verdict |", "|---|---|---|---|---:|---|"]
    for answer in answers:
        reason = "" if answer.findings else answer.reason
        verdict = f"**{answer.verdict.value}**" + (f": {reason}" if reason else "")
        lines.append(_row(answer.claim.id, answer.claim.spec.statement, "", "", "", verdict))
        for finding in answer.findings:
            lines.append(_row("", f"– {finding.comparison.what}", *cells(finding), part_verdict(answer, finding)))
    if remarks := [(answer.claim.id, why) for answer in answers if answer.findings and (why := remark(answer))]:
        lines += ["", "What the verdicts leave open:", "", *(f"- {name}: {_escaped(why)}" for name, why in remarks)]
    lines += ["", "Sources:", ""]
    lines += [f"- {answer.claim.id}: {_escaped(_sentence(answer.claim))}" for answer in answers]
    return "\n".join([*lines, ""])


def origins(answers: Sequence[Answer]) -> list[str]:
    """On which machines and with which code the runs were made, how many, and when."""
    days: dict[str, list[str]] = {}
    for run in {run.run_id: run for answer in answers for run in answer.runs}.values():
        machine = run.machine
        name = _gpus(machine) if run.config.get("device") == "cuda" else machine.get("cpu_model")
        facts = (
            str(name or "unknown"),
            f"{machine.get('usable_cores')} cores",
            f"torch {run.versions.get('torch') or machine.get('torch')}",
            f"code {str(run.code.get('sources_sha256'))[:12]}",
        )
        days.setdefault(", ".join(facts), []).append(run.started_at[:10])
    return [
        f"{told}: {counted(len(found), 'run')}, {' to '.join(sorted({min(found), max(found)}))}"
        for told, found in days.items()
    ]


def _gpus(machine: dict[str, object]) -> str:
    boards = machine.get("gpus")
    return ", ".join(str(gpu.get("name")) for gpu in boards) if isinstance(boards, list) else ""


def _sentence(claim: Claim) -> str:
    return ". ".join(filter(None, (claim.spec.source.rstrip("."), claim.spec.note.rstrip(".")))) + "."


def _row(*texts: str) -> str:
    return f"| {' | '.join(_escaped(text) for text in texts)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ").strip()
