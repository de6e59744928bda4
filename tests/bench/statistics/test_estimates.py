"""Each statistic against a case worked by hand, and its interval against a simulation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from bench.statistics import estimates
from bench.statistics.estimates import Estimate

DRAWS = 2000
SIZES = (5, 10, 40)


def covered(estimate_of: Callable[[Any], Estimate], truth: float, n: int, draws: int = DRAWS) -> float:
    """How often the interval of `n` normal times (100 s, with a deviation of 2 s) holds the truth."""
    samples = np.random.default_rng(0).normal(100, 2, (draws, n))
    hits = 0
    for sample in samples:
        estimate = estimate_of(sample)
        assert estimate.n == n
        assert estimate.low is not None
        assert estimate.high is not None
        hits += estimate.low <= truth <= estimate.high
    return hits / draws


# By hand


def test_mean() -> None:
    estimate = estimates.mean([1, 2, 3, 4, 5], unit="s")
    # t of 4 degrees at 97.5 % is 2.776, the standard error sqrt(2.5 / 5).
    assert (estimate.value, estimate.n, estimate.unit) == (3, 5, "s")
    assert (estimate.low, estimate.high) == pytest.approx((3 - 2.776 * 0.7071, 3 + 2.776 * 0.7071), abs=1e-3)


def test_median_lies_between_order_statistics() -> None:
    estimate = estimates.median([9, 1, 8, 2, 7, 3, 6, 4, 5, 10])
    # P(at most 1 of 10 below the median) = 11 / 1024 < 2.5 %; with 2 it is 56 / 1024.
    assert (estimate.value, estimate.low, estimate.high) == (5.5, 2, 9)
    assert estimates.median([1, 2, 3, 4, 5]).low is None
    assert estimates.median([3, 1, 2, 5, 4, 6]).low == 1


def test_olympic_mean() -> None:
    estimate = estimates.olympic_mean([10, 1, 4, 5, 6])
    # Left are 4, 5, 6; winsorised 4, 4, 5, 6, 6 with variance 1; error sqrt(5) / 3; t of 2 degrees is 4.303.
    assert (estimate.value, estimate.n) == (5, 5)
    assert estimate.high == pytest.approx(5 + 4.3027 * math.sqrt(5) / 3, abs=1e-3)
    assert estimates.olympic_mean([1, 2, 9]).value == 2
    assert estimates.olympic_mean([1, 2, 9]).low is None


def test_olympic_mean_drops_one_that_never_arrived() -> None:
    assert estimates.olympic_mean([10, math.inf, 12, 14]).value == 13
    assert estimates.olympic_mean([10, math.inf, math.inf, 14]).value == math.inf
    assert estimates.olympic_mean([10, math.inf, math.inf, 14]).low is None
    with pytest.raises(ValueError, match="at least 3 values, not 2"):
        estimates.olympic_mean([1, 2])


def test_share() -> None:
    estimate = estimates.share(35, 50)
    # Page's 35 of 50: centre (0.7 + z²/100) / (1 + z²/50), z² = 3.8415.
    centre, half = 0.738415 / 1.07683, 1.96 * math.sqrt(0.7 * 0.3 / 50 + 3.8415 / 10000) / 1.07683
    assert estimate.value == 0.7
    assert (estimate.low, estimate.high) == pytest.approx((centre - half, centre + half), abs=1e-4)
    assert estimates.share(0, 3).low == 0
    assert estimates.share(1, 1).low == pytest.approx(0.2065, abs=1e-3)
    with pytest.raises(ValueError, match="5 of 4 runs"):
        estimates.share(5, 4)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 7), (3, 7), (7, 7), (199, 200)])
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_the_interval_of_a_share_is_that_of_scipys_slower_test(successes: int, n: int, confidence: float) -> None:
    theirs = scipy_stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    ours = estimates.share(successes, n, confidence)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_p_at_least() -> None:
    # hiverge's published mean of 94.008 % (n = 2,000, deviation 0.13 %): t = 2.75, p = .003; airbench94_muon's
    # 94.01 % (n = 200): t = 1.09, p = .14. Two-point samples have exactly these means and deviations.
    for mean, n, p in ((0.94008, 2000, 0.003), (0.9401, 200, 0.139)):
        reach = 0.0013 * math.sqrt((n - 1) / n)
        test = estimates.p_at_least([mean - reach, mean + reach] * (n // 2), 0.94)
        assert test.p == pytest.approx(p, abs=5e-4)
        assert test.n == n
        assert "0.94" in test.hypothesis
    assert estimates.p_at_least([0.95], 0.94).p is None
    assert estimates.p_at_least([0.95, 0.95], 0.94).p is None


def test_time_to_success() -> None:
    assert estimates.time_to_success([10, 20, 30]).value == 20
    estimate = estimates.time_to_success([10, 20, 30], [40])
    assert estimate.value == pytest.approx(100 / 3)
    assert estimate.n == 4
    never = estimates.time_to_success([], [40, 50])
    assert (never.value, never.n, never.low, never.high) == (math.inf, 2, None, None)
    assert estimates.time_to_success([10]).low is None


@given(successes=st.lists(st.floats(1, 100), min_size=1), failures=st.lists(st.floats(1, 100)))
def test_time_to_success_is_all_time_over_all_successes(successes: list[float], failures: list[float]) -> None:
    estimate = estimates.time_to_success(successes, failures)
    assert estimate.value == pytest.approx(sum(successes + failures) / len(successes))
    if estimate.low is not None:
        assert estimate.high is not None
        assert 0 <= estimate.low <= estimate.value <= estimate.high


def test_geometric_mean() -> None:
    estimate = estimates.geometric_mean([0.5, 2.0, 1.0, 8.0])
    assert estimate.value == pytest.approx(8 ** (1 / 4))
    assert estimates.geometric_mean([2.0]).low is None
    with pytest.raises(ValueError, match="positive values, not 0"):
        estimates.geometric_mean([1.0, 0.0])


def test_estimates_scale_and_overlap() -> None:
    minutes = Estimate(2.0, 5, "mean", 1.0, 3.0, unit="min")
    assert minutes.scaled(60, "s") == Estimate(120, 5, "mean", 60, 180, unit="s")
    assert minutes.overlaps(Estimate(4.0, 5, "mean", 2.9, 5.1))
    assert not minutes.overlaps(Estimate(4.0, 1, "mean"))
    assert minutes.overlaps(Estimate(2.5, 1, "mean"))


@pytest.mark.parametrize("statistic", [estimates.mean, estimates.median, estimates.olympic_mean])
def test_no_value_and_no_number(statistic: Callable[..., Estimate]) -> None:
    for values in ([], [1.0, math.nan, 2.0]):
        with pytest.raises(ValueError, match="at least"):
            statistic(values)


@pytest.mark.parametrize("statistic", [estimates.mean, estimates.geometric_mean, estimates.median])
def test_one_value_has_no_interval(statistic: Callable[..., Estimate]) -> None:
    estimate = statistic([3.0])
    assert estimate.value == pytest.approx(3)
    assert (estimate.n, estimate.low, estimate.high) == (1, None, None)


# By simulation: 95 % intervals cover in 93 to 97 % of the draws, or as often as their docstrings say.


@pytest.mark.parametrize("n", SIZES)
def test_means_cover(n: int) -> None:
    assert 0.93 <= covered(estimates.mean, 100, n) <= 0.97


@pytest.mark.parametrize(("n", "expected"), [(5, 0.927), (10, 0.945), (40, 0.945)])
def test_olympic_means_cover_as_their_docstring_says(n: int, expected: float) -> None:
    assert covered(estimates.olympic_mean, 100, n) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("n", SIZES)
def test_geometric_means_cover(n: int) -> None:
    # exp of normal values; their geometric mean is e.
    coverage = covered(lambda sample: estimates.geometric_mean([float(x) for x in np.exp(sample / 100)]), math.e, n)
    assert 0.93 <= coverage <= 0.97


@pytest.mark.parametrize(("n", "expected"), [(10, 0.979), (40, 0.962)])
def test_medians_cover_at_least_as_promised(n: int, expected: float) -> None:
    assert covered(estimates.median, 100, n) == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_shares_cover(n: int, share: float) -> None:
    """Exactly, over all that n runs can give: on average as promised, never far off."""
    probabilities = scipy_stats.binom.pmf(range(n + 1), n, share)
    bounds = [estimates.share(k, n) for k in range(n + 1)]
    held = [(e.low or 0) <= share <= (e.high or 1) for e in bounds]
    assert 0.91 <= float(np.dot(probabilities, held)) <= 0.98


@pytest.mark.parametrize("n", SIZES)
def test_p_is_as_often_small_as_it_says(n: int) -> None:
    samples = np.random.default_rng(1).normal(100, 2, (DRAWS, n))
    ps = [estimates.p_at_least(list(sample), 100).p or 0 for sample in samples]
    assert np.mean(np.array(ps) < 0.05) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_times_to_success_cover(n: int, share: float) -> None:
    rng, hits, tries = np.random.default_rng(2), 0, 0
    for _ in range(DRAWS):
        times, reached = rng.normal(100, 2, n), rng.random(n) < share
        estimate = estimates.time_to_success(list(times[reached]), list(times[~reached]))
        if estimate.low is not None and estimate.high is not None:
            tries += 1
            hits += estimate.low <= 100 / share <= estimate.high
    assert 0.91 <= hits / tries <= 0.985


def test_rank_correlation_by_hand():
    # Five pairs, ranks 1 2 3 4 5 beside 2 1 4 3 5: 1 - 6 * 4 / (5 * 24).
    found = estimates.rank_correlation([1, 2, 3, 4, 5], [20, 10, 40, 30, 50])
    assert found.value == pytest.approx(0.8)
    assert found.n == 5
    assert found.low < 0.8 < found.high < 1


def test_ranks_that_agree_throughout_have_no_interval():
    found = estimates.rank_correlation([1, 2, 3, 4, 5], [1, 4, 9, 16, 25])
    assert (found.value, found.low, found.high) == (pytest.approx(1.0), None, None)
    assert estimates.rank_correlation([1, 2, 3], [3, 1, 2]).low is None


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 2, 3]), ([1], [1]), ([1, 1, 1], [1, 2, 3]), ([], [])])
def test_what_does_not_vary_in_pairs_has_no_rank_correlation(x, y):
    with pytest.raises(ValueError, match="needs"):
        estimates.rank_correlation(x, y)


@pytest.mark.parametrize("n", [10, 40])
def test_the_interval_of_a_rank_correlation_covers_the_truth(n):
    rng = np.random.default_rng(n)
    # Spearman's rho of a normal pair with correlation r: 6 / pi * asin(r / 2).
    r = 0.7
    truth = 6 / np.pi * np.arcsin(r / 2)
    covered = 0
    for _ in range(1000):
        x = rng.normal(size=n)
        found = estimates.rank_correlation(x, r * x + np.sqrt(1 - r**2) * rng.normal(size=n))
        covered += found.low is not None and found.low <= truth <= found.high  # all ranks may agree by chance
    assert 0.92 <= covered / 1000 <= 0.98
