"""The page of claims: each with its parts, its plot and links to the cells that its verdict was read from."""

from __future__ import annotations

import re

import pytest

from bench.claims import catalog
from bench.claims.answers import judge
from bench.report.html.pages import single_claims_page, site
from tests.bench.competitors import run


@pytest.fixture(scope="module")
def files() -> dict[str, str | bytes]:
    """A report of runs of S28 alone: a step keeps more memory where activations are not in place."""
    claim = catalog.load("S28")
    sizes = {claim.side(0, "of"): 1.25e8, claim.side(0, "to"): 1e8}
    runs = [
        run(
            cell=min(cell.ids),
            measure="memory",
            config={"device": "cpu", **cell.values},
            metrics={"activation_bytes_per_example": kept, "total_s": 1.0},
        )
        for cell, kept in sizes.items()
    ]
    return site(runs, [])


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}">.*?</section>', page, re.DOTALL)
    assert found
    return found[0]


def test_a_claim_with_runs_comes_first_with_its_verdict_and_its_interval(files: dict[str, str | bytes]) -> None:
    page = str(files["claims.html"])
    order = re.findall('<section id="(S[0-9]+)">', page)
    assert order.index("S28") < order.index("S01")
    told = section(page, "S28")
    assert "<h2>S28: confirmed</h2>" in told
    for text in ("&gt; 1.00", "1.25", 'data-label="n">1<'):
        assert text in told


def test_its_chart_and_its_cells_are_there(files: dict[str, str | bytes]) -> None:
    told = section(str(files["claims.html"]), "S28")
    linked = re.findall('(?:href|src)="([^"]+)"', told)
    assert sum(link.startswith("cells/") for link in linked) == 2
    assert set(linked) <= files.keys()
    assert told.count('<figure id="claim-S28-') == told.count('data-label="verdict"')


def test_all_others_say_why_they_have_no_verdict(files: dict[str, str | bytes]) -> None:
    page = str(files["claims.html"])
    assert "42 claims: 1 confirmed" in page
    assert "needs 8 GPUs" in section(page, "S01")
    assert "needs 1 GPU" in section(page, "S12")
    assert "not measured yet; its matrix asks for 6 runs of each cell" in section(page, "S09")


def test_one_page_alone_holds_its_charts() -> None:
    claim = catalog.load("S28")
    runs = [
        run(
            cell=min(cell.ids),
            measure="memory",
            config={"device": "cpu"},
            metrics={"activation_bytes_per_example": 2.0},
        )
        for cell in (claim.side(0, "of"), claim.side(0, "to"))
    ]
    page = single_claims_page(judge([claim], runs))
    assert "<h2>S28: refuted</h2>" in page
    assert page.count('<figure id="claim-S28-') == 1
    assert not re.findall('(?:href|src)="(?!data:|#)', page)
