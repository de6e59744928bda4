"""The verdicts that the documents hold are those of the runs in the repository: one command derives them again."""

import io
from pathlib import Path

from rich.console import Console

from bench.cli.claim_options import ClaimsOptions
from bench.cli.commands.claims import claims

ROOT = Path(__file__).resolve().parent.parent


def test_every_recorded_verdict_follows_from_the_recorded_runs(tmp_path, monkeypatch):
    """`bench claims --runs results/claims --format markdown --out docs/claims.md` writes the same page again."""
    monkeypatch.chdir(ROOT)
    page = tmp_path / "claims.md"
    options = ClaimsOptions(runs=[Path("results/claims")], format="markdown", out=page)
    assert claims(options, Console(file=io.StringIO())) == 0
    assert page.read_text() == Path("docs/claims.md").read_text()
