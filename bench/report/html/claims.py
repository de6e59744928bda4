"""The claims of a report: each with its parts, its charts and the cells that it was read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.claims import catalog
from bench.claims.answers import judge
from bench.claims.cells import Claim
from bench.claims.evidence import Answer
from bench.claims.verdict import ClaimVerdict
from bench.report.charts.chart import DotChart
from bench.report.html.cells import CellPage
from bench.report.html.plots.claims import claim_charts
from bench.report.terminal.claims import cells, remark
from bench.runs.run import Run


@dataclass(frozen=True)
class PartRow:
    """One part of a claim as text."""

    what: str
    claimed: str
    measured: str
    n: str
    verdict: str


@dataclass(frozen=True)
class ClaimView:
    """One claim as its section shows it; `pages` are labels and pages of the cells that its runs are of."""

    claim: Claim
    verdict: str
    rows: tuple[PartRow, ...]
    remark: str
    charts: tuple[DotChart, ...]
    pages: tuple[tuple[str, str], ...]


def claim_answers(runs: Sequence[Run]) -> list[Answer]:
    """All claims that come with the project; those with runs first."""
    return sorted(judge(catalog.chosen(()), runs), key=lambda answer: not answer.runs)


def claim_views(answers: Sequence[Answer], made: Sequence[CellPage]) -> list[ClaimView]:
    """What the page shows of each."""
    charts = claim_charts(answers)
    owners = {run.run_id: cell for cell in made for run in cell.runs}
    return [_view(answer, tuple(charts.get(answer.claim.id, ())), owners) for answer in answers]


def _view(answer: Answer, charts: tuple[DotChart, ...], owners: Mapping[str, CellPage]) -> ClaimView:
    rows = tuple(
        PartRow(finding.comparison.what, *cells(finding), finding.verdict.value) for finding in answer.findings
    )
    own = {cell.page: cell.label for run in answer.runs if (cell := owners.get(run.run_id)) is not None}
    why = answer.reason if answer.verdict is ClaimVerdict.NOT_TESTABLE else remark(answer)
    return ClaimView(
        answer.claim, answer.verdict.value, rows, why, charts, tuple((label, page) for page, label in own.items())
    )
