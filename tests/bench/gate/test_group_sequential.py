from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.gate import group_sequential

LOOKS = group_sequential.looks(30, 10)


def test_looks_close_blocks_and_end_with_the_last_round():
    assert group_sequential.looks(13) == (8, 10, 12, 13)
    assert group_sequential.looks(30, 10)[0] == 10
    assert group_sequential.looks(4) == (4,)


def test_of_very_many_rounds_some_are_passed_over():
    assert len(group_sequential.looks(1000)) <= group_sequential.MOST_LOOKS + 1
    assert group_sequential.looks(1000)[-1] == 1000


def test_a_single_look_spends_all():
    assert group_sequential.nominal(0.01, (7,), 0) == pytest.approx(0.01)
    assert group_sequential.repeated_p(0.2, (7,), 0) == 0.2


def test_two_equal_looks_agree_with_the_bivariate_normal():
    """Half of 5 % at half the information, the rest at the end: the mass must be that of the correlated pair."""
    first, second = (stats.norm.isf(group_sequential.nominal(0.05, (10, 20), look)) for look in (0, 1))
    assert stats.norm.sf(first) == pytest.approx(0.025, rel=1e-3)
    correlated = stats.multivariate_normal(mean=[0, 0], cov=[[1, 0.5**0.5], [0.5**0.5, 1]])
    assert 1 - correlated.cdf([first, second]) == pytest.approx(0.05, rel=2e-3)


@pytest.mark.parametrize("level", [0.05, 0.005])
def test_all_looks_together_keep_to_the_level(level):
    rng = np.random.default_rng(0)
    sums = np.cumsum(rng.normal(size=(200_000, 30)), axis=1)
    crossed = np.zeros(len(sums), bool)
    for number, look in enumerate(LOOKS):
        boundary = stats.norm.isf(group_sequential.nominal(level, LOOKS, number))
        crossed |= sums[:, look - 1] > boundary * look**0.5
    assert crossed.mean() == pytest.approx(level, rel=0.12)


def test_the_repeated_p_undoes_the_nominal_level():
    for look in range(len(LOOKS)):
        for level in (1e-4, 0.005, 0.05):
            p = group_sequential.nominal(level, LOOKS, look)
            assert p <= level
            assert group_sequential.repeated_p(p, LOOKS, look) == pytest.approx(level, rel=1e-6)
    assert group_sequential.repeated_p(0.9, LOOKS, 3) == 1.0
    assert 0 < group_sequential.repeated_p(0.0, LOOKS, 3) <= group_sequential.LEVELS[0]
