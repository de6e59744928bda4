from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.statistics import shift

samples = st.lists(st.floats(-5, 5), min_size=1, max_size=12, unique=True)


@given(samples.map(lambda values: values[:9]))
def test_pairs_have_the_p_of_all_the_signs_that_they_could_have(differences):
    """By going through every one of them; distances that are equal are broken in disfavour of a shift."""
    n = len(differences)
    ordered = sorted(differences, key=lambda value: (abs(value), value <= 0))
    scores = [min(rank, (n + 1) // 2) for rank in range(1, n + 1)]
    seen = sum(score for score, value in zip(scores, ordered, strict=True) if value > 0)
    sums = [sum(itertools.compress(scores, signs)) for signs in itertools.product((0, 1), repeat=n)]
    expected = sum(one >= seen for one in sums) / 2**n
    assert shift.of_pairs([0.0] * n, differences).p_above() == pytest.approx(expected)
    assert shift.of_pairs(differences, [0.0] * n).p_below() == pytest.approx(expected)


def test_hiccups_do_not_hide_a_change_as_they_do_from_wilcoxons_test():
    differences = [0.05 + 0.001 * i for i in range(18)] + [-0.4, -0.5]
    assert shift.of_pairs([0.0] * 20, differences).p_above() < 0.002
    assert stats.wilcoxon(differences, alternative="greater").pvalue > 0.005


@given(samples, st.integers(0, 1000))
def test_two_samples_have_the_p_of_mann_and_whitneys_test(values, seed):
    ranks = np.random.default_rng(seed).permutation(len(values) + 3).astype(float)
    base, head = ranks[:3], ranks[3:]
    found = shift.of_two(base, head)
    for p, alternative in ((found.p_above(), "greater"), (found.p_below(), "less")):
        assert p == pytest.approx(stats.mannwhitneyu(head, base, alternative=alternative, method="exact").pvalue)


def test_large_samples_of_pairs_go_over_to_the_normal_smoothly():
    differences = np.random.default_rng(1).normal(0.3, 1, shift.EXACT_PAIRS + 1)
    exact, normal = (
        shift.of_pairs(np.zeros(n), differences[:n]).p_above() for n in (shift.EXACT_PAIRS, shift.EXACT_PAIRS + 1)
    )
    assert normal == pytest.approx(exact, rel=0.3)


def test_large_samples_apart_go_over_to_the_normal_smoothly():
    rng = np.random.default_rng(1)
    base, head = rng.normal(0, 1, 45), rng.normal(0.4, 1, 38)
    p = shift.of_two(base, head).p_above()
    assert p == pytest.approx(stats.mannwhitneyu(head, base, alternative="greater").pvalue, rel=0.05)


@given(samples, samples, st.sampled_from([0.2, 0.05, 0.01]), st.sampled_from(["pairs", "two"]))
def test_the_interval_is_what_the_test_does_not_exclude(a, b, level, kind):
    n = min(len(a), len(b))
    found = shift.of_pairs(a[:n], b[:n]) if kind == "pairs" else shift.of_two(a, b)
    low, high = found.interval(level)
    assert low <= found.estimate <= high
    if math.isfinite(low):
        inside = 1e-9
        assert found.p_above(low - inside) <= level < found.p_above(low + inside)
        assert found.p_below(high + inside) <= level < found.p_below(high - inside)
    else:
        assert found.p_above(-100) > level


def test_the_estimate_shrugs_at_an_outlier():
    base = [1.0] * 9
    head = [1.1] * 8 + [50.0]
    assert shift.of_pairs(base, head).estimate == pytest.approx(0.1)
    assert shift.of_two(base, head).estimate == pytest.approx(0.1)


def test_equal_values_show_no_shift_and_a_narrow_interval():
    found = shift.of_pairs([1.0] * 8, [1.0] * 8)
    assert (found.estimate, found.p_above(), found.p_below()) == (0, 1, 1)
    assert found.interval(0.05) == (0, 0)


def test_means_of_pairs_and_of_two_are_scipys():
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.94, 0.002, 6), rng.normal(0.93, 0.004, 5)
    two = shift.means_of_two(a, b)
    welch = stats.ttest_ind(b, a, equal_var=False, alternative="less")
    # But for the little that the step between two values adds.
    assert two.p_below() == pytest.approx(welch.pvalue, rel=0.01)
    welch = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.9)
    assert two.interval(0.05) == pytest.approx(tuple(welch), rel=0.01)
    pairs = shift.means_of_pairs(a[:5], b)
    assert pairs.p_below() == pytest.approx(stats.ttest_rel(b, a[:5], alternative="less").pvalue, rel=0.01)


def test_equal_accuracies_show_no_shift_at_all():
    same = shift.means_of_pairs([0.94] * 3, [0.94] * 3)
    assert (same.p_above(), same.p_below(), same.interval(0.05)) == (1, 1, (0, 0))


def test_three_accuracies_that_fall_by_one_image_each_prove_nothing_and_ten_do():
    image = 1 / 360
    for means in (shift.means_of_pairs, shift.means_of_two):
        assert 0.005 < means([0.94] * 3, [0.94 - image] * 3).p_below() < 0.1
        assert means([0.94] * 10, [0.94 - image] * 10).p_below() < 1e-4


def test_a_thousand_pairs_take_neither_gigabytes_nor_minutes():
    differences = np.random.default_rng(3).normal(0.01, 0.1, 1000)
    found = shift.of_pairs([0.0] * 1000, differences)
    low, high = found.interval(0.05)
    assert low < found.estimate < high
    assert (low, high) == pytest.approx(stats.t.interval(0.9, 999, differences.mean(), 0.1 / 1000**0.5), abs=0.003)
