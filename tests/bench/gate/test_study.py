from __future__ import annotations

import numpy as np
import pytest

from bench.gate.quantity import QUANTITIES
from bench.gate.study import BLOCK, draw, neighbours, planted, study
from bench.gate.verdict import Case, Verdict, judge

STEP = QUANTITIES["throughput"][0]


def series(n: int, sd: float) -> list[float]:
    """Neighbours are alike, and now and then one run takes a third longer."""
    rng = np.random.default_rng(7)
    slow = np.convolve(rng.normal(0, sd, n + 20), np.ones(20) / 20, "valid")[:n]
    hiccups = np.where(rng.random(n) < 0.04, 0.3, 0.0)
    return list(0.01 * np.exp(rng.normal(0, sd, n) + slow + hiccups))


def test_a_comparison_is_made_of_blocks_of_neighbours_in_turns():
    base, head = draw(neighbours(list(range(100))), 7, np.random.default_rng(0))
    assert len(base) == len(head) == 7
    for pair in range(0, 6, 2):
        a, a_again, b, b_again = base[pair], base[pair + 1], head[pair], head[pair + 1]
        assert (b, b_again, a_again) == (a + 1, a + 2, a + BLOCK - 1)


def test_ours_raises_no_alarm_where_others_do_and_finds_what_they_miss():
    outcomes = study(planted(series(160, 0.03), (0.0, 0.08)), STEP, 20, comparisons=40)
    found = {(one.rule, one.slow_down): one for one in outcomes}
    ours, slowed = found["bench regress", 0.0], found["bench regress", 0.08]
    assert ours.slower + ours.faster <= 1
    assert slowed.slower >= 0.9 * slowed.n
    assert slowed.rounds < 20
    assert found["factor 1.1, p<.002", 0.08].slower < slowed.slower
    assert len({one.rule for one in outcomes}) == 5


def test_a_short_series_is_refused():
    with pytest.raises(ValueError, match="20 runs are too few"):
        planted(series(20, 0.01))


def test_levels_of_memory_that_starts_have_raise_no_alarm_and_hide_no_growth():
    """As twelve starts of one loader had them: a quarter peaks 2.9 % above the others. Runs of one start are alike, so
    that all the rounds of one start a side are told apart in every third comparison."""
    memory = QUANTITIES["loading"][1]
    rng = np.random.default_rng(3)
    levels = 320e6 * np.where(rng.random(200) < 0.25, 1.029, 1.0) * np.exp(rng.normal(0, 5e-4, 200))
    alarms = 0
    for base, head in zip(levels[:60], levels[60:120], strict=True):
        rounds = np.exp(rng.normal(0, 5e-4, (2, 26)))
        (judgement,) = judge([Case(memory, list(base * rounds[0]), list(head * rounds[1]), planned=30)])
        alarms += judgement.verdict in (Verdict.WORSE, Verdict.BETTER)
    assert alarms > 10
    outcomes = study(planted(list(levels), (0.0, 0.03, 0.05)), memory, 30, comparisons=100)
    same, small, large = (one for one in outcomes if one.rule == "bench regress")
    assert same.slower + same.faster == 0
    assert small.slower >= 90
    assert large.slower == 100
