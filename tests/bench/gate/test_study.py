from __future__ import annotations

import numpy as np
import pytest

from bench.gate.quantity import QUANTITIES
from bench.gate.study import BLOCK, draw, neighbours, planted, study

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
