"""What is said beside verdicts on claims: how many runs would decide, and nothing that is not known."""

import re

import pytest

from bench.claims import catalog
from bench.claims.comparable import CellSetting
from bench.claims.effect import Effect
from bench.claims.evidence import Answer
from bench.claims.verdict import ClaimFinding, ClaimVerdict
from bench.report.terminal.claims import remark, summary


@pytest.fixture
def unsure():
    """An answer to S09 whose one part was measured and is open."""

    def make(seeds_needed=None, scatter=0.01, reason=""):
        claim = catalog.load("S09")
        effect = Effect(0.004, 6, "mean difference of pairs, t interval", -0.01, 0.02, scatter=scatter)
        finding = ClaimFinding(claim.spec.tests[0], ClaimVerdict.UNSURE, effect, reason, seeds_needed)
        setting = CellSetting("m", "c", "cpu", "d")
        return Answer(claim, ClaimVerdict.UNSURE, (finding,), "", setting, (), seeds_needed, 2.0)

    return make


def test_the_runs_that_would_decide_come_with_their_time_and_the_command(unsure):
    assert remark(unsure(9)) == "9 runs of each cell would decide, 2 min 00 s more: bench claims S09 --seeds 9"


def test_too_many_runs_are_said_to_be_too_many(unsure):
    assert remark(unsure()) == "more than a thousand runs of each cell would be needed, if any number decides"


def test_where_more_runs_are_no_remedy_none_are_asked_for(unsure):
    missed = "some runs of model.padding=zeros never reached the target"
    assert remark(unsure(scatter=None, reason=missed)) == missed


def test_a_claim_without_runs_says_how_many_its_matrix_asks_for():
    claim = catalog.load("S09")
    told = remark(Answer(claim, ClaimVerdict.UNSURE, (), "not measured yet", None, (), 6, 4.0))
    assert re.fullmatch(
        "not measured yet; its matrix asks for 6 runs of each cell, about 4 min .*: bench claims S09", told
    )


def test_the_counts_tell_what_was_never_measured_from_what_is_open(unsure):
    claim = catalog.load("S09")
    answers = [unsure(9), Answer(claim, ClaimVerdict.UNSURE), Answer(claim, ClaimVerdict.CONFIRMED)]
    assert summary(answers) == "3 claims: 1 confirmed, 2 unsure (1 of them not measured yet)"
