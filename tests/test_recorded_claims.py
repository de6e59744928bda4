"""The verdicts that the documents hold are those of the runs in the repository: one command derives them again."""

import io
from pathlib import Path

from rich.console import Console

from bench.claims import catalog
from bench.claims.answers import judge
from bench.claims.evidence import is_complete, mean_total_s
from bench.cli.claim_options import ClaimsOptions
from bench.cli.commands.claims import claims
from bench.runs.store import jsonl_files, read_runs

ROOT = Path(__file__).resolve().parent.parent


def test_every_recorded_verdict_follows_from_the_recorded_runs(tmp_path, monkeypatch):
    """`bench claims --runs results/claims --format markdown --out docs/claims.md` writes the same page again."""
    monkeypatch.chdir(ROOT)
    page = tmp_path / "claims.md"
    options = ClaimsOptions(runs=[Path("results/claims")], format="markdown", out=page)
    assert claims(options, Console(file=io.StringIO())) == 0
    assert page.read_text() == Path("docs/claims.md").read_text()


def test_the_minutes_of_a_claim_are_about_those_that_its_runs_took():
    """A budget is planned by them before anything was measured."""
    answers = judge(catalog.chosen(()), read_runs(jsonl_files([ROOT / "results" / "claims"]), lambda *_: True))
    told = {}
    for answer in answers:
        claim = answer.claim
        if claim.spec.matrix is not None and is_complete(claim, answer, claim.seeds):
            means = (mean_total_s(run for run in answer.runs if run.cell in cell.ids) for cell in claim.compared)
            took = claim.seeds * sum(filter(None, means)) / 60
            told[claim.id] = (claim.spec.minutes, took)
    assert len(told) >= 8
    assert {name: both for name, both in told.items() if not both[1] / 3 < both[0] < 3 * max(both[1], 0.05)} == {}
