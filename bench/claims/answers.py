"""Answers to many claims from runs of any machine, for pages and tests of recorded verdicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.claims.cells import Claim
from bench.claims.evidence import Answer, answer
from bench.claims.verdict import ClaimVerdict
from bench.errors import UsageError
from bench.runs.run import Run


def judge(claims: Sequence[Claim], runs: Iterable[Run]) -> list[Answer]:
    """An answer for each claim; a claim that was never measured and needs special hardware is not testable."""
    by_cell: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_cell[run.cell].append(run)
    return [_judge(claim, by_cell) for claim in claims]


def answer_or_mistake(claim: Claim, runs: Iterable[Run]) -> Answer:
    """The answer, or the mistake in the claim, so that one mistake does not prevent other verdicts."""
    try:
        return answer(claim, runs)
    except UsageError as error:
        return Answer(claim, ClaimVerdict.UNSURE, reason=str(error), mistake=True)


def _judge(claim: Claim, by_cell: dict[str, list[Run]]) -> Answer:
    needs = claim.spec.needs
    if claim.spec.matrix is None:
        return Answer(claim, ClaimVerdict.NOT_TESTABLE, reason=f"needs {needs}")
    found = answer_or_mistake(
        claim, (run for cell in claim.cells for name in cell.ids for run in by_cell.get(name, ()))
    )
    if needs is not None and not found.runs:
        return replace(found, verdict=ClaimVerdict.NOT_TESTABLE, reason=f"needs {needs}")
    return found
