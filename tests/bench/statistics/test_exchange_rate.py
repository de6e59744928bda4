"""Two recipes at equal accuracy or cross-entropy: what the intervals cover, in simulated experiments with a seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from bench.statistics.exchange_rate import NoRate, Trend, chance_of_slopes, length_at, rate_at, ratio_at, slopes

TRIALS = 1000
EPOCH_S = 40.0


@dataclass(frozen=True)
class Simulated:
    """What a recipe reaches after some epochs, on average, and by how much single runs scatter."""

    of: Callable
    scatter: float
    target: float


# A recipe that needs ten epochs for the target, whose errors fall as a power of them, as trainings' do.
ACCURACY = Simulated(lambda epochs: 1 - 0.06 * (epochs / 10) ** -0.4, 0.0015, 0.94)
# One that falls by .016 nats between 7.5 and 10 epochs, as cifar94_cpu's does, and scatters as that.
CROSS_ENTROPY = Simulated(lambda epochs: 0.39 * (epochs / 8.75) ** -0.1425, 0.004, 0.39)


def runs(draws, lengths, seeds, faster=1.0, quality=ACCURACY, of_seeds=0.0):
    """Runs of a recipe at these epochs, `faster` times as fast, whose times scatter by 1 %.

    `of_seeds` is what each seed adds to the quality at every length.
    """
    epochs = np.repeat(lengths, seeds)
    qualities = quality.of(epochs) + quality.scatter * draws.standard_normal(epochs.size)
    qualities += np.tile(np.broadcast_to(of_seeds, seeds), len(lengths))
    return Trend.of(
        epochs * EPOCH_S / faster * (1 + 0.01 * draws.standard_normal(epochs.size)), qualities, epochs.tolist()
    )


def shares(base, head, faster=1.0, quality=ACCURACY, share=False, least_known=0.9):
    """The shares of trials whose interval covers the true ratio, and that show no difference."""
    draws, known, covers, same = np.random.default_rng(0), 0, 0, 0
    for _ in range(TRIALS):
        sides = runs(draws, *base, quality=quality), runs(draws, *head, faster, quality)
        found = ratio_at(quality.target, *sides, share=share)
        known += found.low is not None
        covers += found.low is None or found.low <= 1 / faster <= found.high
        same += found.low is None or found.low <= 1 <= found.high
    # Without an interval nothing is shown, which must be rare.
    assert known >= least_known * TRIALS
    return covers / TRIALS, same / TRIALS


# Of a thousand trials with 95 %, 93.6 % is the least in 97 of 100 series.
@pytest.mark.parametrize(
    ("base", "head"),
    [
        (([9.0, 10.0, 11.0], 3), ([8.5, 9.5, 10.5], 3)),
        (([9.0, 10.0, 11.0], 5), ([9.5], 5)),
        (([8.0, 12.0], 5), ([7.5, 11.5], 3)),
        (([7.5, 12.0], 2), ([7.5, 12.0], 2)),
    ],
    ids=["three lengths each", "one length of the shortened", "two lengths", "two seeds"],
)
def test_a_recipe_shortened_by_half_an_epoch_is_the_same_in_95_percent(base, head):
    covers, _ = shares(base, head)
    assert covers >= 0.936


def test_a_recipe_that_is_faster_is_found_and_by_how_much():
    covers, same = shares(([8.0, 10.0, 12.0], 5), ([8.0, 10.0, 12.0], 5), faster=1.25)
    assert covers >= 0.936
    assert same <= 0.2


@pytest.mark.parametrize(
    ("base", "head", "share", "least_known"),
    [
        (([7.5, 10.0], 2), ([7.5, 10.0], 2), False, 0.7),
        (([7.5, 10.0], 2), ([7.5, 10.0], 2), True, 0.95),
        (([7.5, 10.0], 4), ([7.5, 10.0], 4), False, 0.95),
        (([7.5, 10.0], 3), ([7.0, 9.5], 2), False, 0.7),
        (([7.0, 8.75, 10.5], 3), ([7.0, 8.75, 10.5], 3), False, 0.95),
        (([7.5, 10.0], 3), ([8.5], 3), False, 0.9),
    ],
    ids=["two seeds", "two seeds, a shared rate", "four seeds", "unequal", "three lengths", "one length"],
)
def test_intervals_at_equal_cross_entropy_cover_the_ratio_in_95_percent(base, head, share, least_known):
    covers, _ = shares(base, head, 1.1, CROSS_ENTROPY, share, least_known)
    assert covers >= 0.936


@pytest.mark.parametrize(("same", "least", "most"), [(True, 0.97, 1.0), (False, 0.85, 0.92)], ids=["same", "other"])
def test_what_a_seed_does_at_every_length_needs_the_same_seeds_on_both_sides(same, least, most):
    draws, covers, design = np.random.default_rng(0), 0, ([7.5, 10.0], 4)
    for _ in range(TRIALS):
        of_base, of_head = 0.004 * draws.standard_normal((2, 4))
        base = runs(draws, *design, 1.0, CROSS_ENTROPY, of_base)
        head = runs(draws, *design, 1.25, CROSS_ENTROPY, of_base if same else of_head)
        found = ratio_at(CROSS_ENTROPY.target, base, head)
        covers += found.low is None or found.low <= 1 / 1.25 <= found.high
    assert least <= covers / TRIALS <= most


def test_a_shared_rate_finds_a_faster_recipe_with_fewer_runs():
    design = ([7.5, 10.0], 2), ([7.5, 10.0], 2), 1.25, CROSS_ENTROPY
    _, own = shares(*design, least_known=0.7)
    _, shared = shares(*design, share=True)
    assert shared <= 0.3 < own


def test_rates_that_differ_are_told_from_chance():
    steeper = Simulated(lambda epochs: 0.39 * (epochs / 8.75) ** -0.5, 0.004, 0.39)
    design, draws = ([7.0, 8.75, 10.5], 3), np.random.default_rng(0)
    for other, least, most in ((CROSS_ENTROPY, 0.036, 0.064), (steeper, 0.8, 1.0)):
        pairs = [(runs(draws, *design, 1.0, CROSS_ENTROPY), runs(draws, *design, 1.0, other)) for _ in range(TRIALS)]
        assert least <= sum(chance_of_slopes(*pair) < 0.05 for pair in pairs) / TRIALS <= most
    lone = runs(draws, [8.0], 5)
    assert chance_of_slopes(runs(draws, *design), lone) is None
    assert chance_of_slopes(runs(draws, [8, 9], 1), runs(draws, [8, 9], 1)) is None


def test_a_falling_quality_is_the_mirror_image_of_a_rising_one():
    draws = np.random.default_rng(3)
    lengths = [300.0, 400.0, 500.0, 320.0, 420.0]
    rising = [0.02 * math.log(length) + 0.001 * draws.standard_normal() for length in lengths]
    up, down = Trend.of(lengths, rising), Trend.of(lengths, [1 - one for one in rising])
    target = up.mean_y + 0.001
    (of_up,), (of_down,) = slopes(up), slopes(down)
    assert of_down.value == pytest.approx(-of_up.value)
    up_length, down_length = length_at(target, up, of_up, "s"), length_at(1 - target, down, of_down, "s")
    assert up_length.low < up_length.value < up_length.high
    for bound in ("low", "value", "high"):
        assert getattr(down_length, bound) == pytest.approx(getattr(up_length, bound))
    up_rate, down_rate = rate_at(400.0, up, of_up, "1/s"), rate_at(400.0, down, of_down, "nats/s")
    assert (down_rate.low, down_rate.high) == pytest.approx((-up_rate.high, -up_rate.low))


def test_the_rates_and_the_time_are_those_of_the_line():
    lengths = [300.0, 350.0, 400.0, 500.0]
    trend = Trend.of(lengths, [0.94 + 0.02 * math.log(length / 400) for length in lengths])
    (slope,) = slopes(trend)
    found = length_at(0.945, trend, slope, "s")
    assert found.value == pytest.approx(400 * math.exp(0.25))
    assert found.low == pytest.approx(found.high) == pytest.approx(found.value)
    rate = rate_at(found.value, trend, slope, "1/s")
    assert rate.value == pytest.approx(0.02 / found.value)


def test_the_interval_of_the_time_covers_it():
    draws, covers = np.random.default_rng(1), 0
    for _ in range(TRIALS):
        trend = runs(draws, [9.0, 10.0, 11.0], 3)
        found = length_at(ACCURACY.target, trend, slopes(trend)[0], "s")
        covers += found.low is None or found.low <= 10 * EPOCH_S <= found.high
    assert covers / TRIALS >= 0.936


def test_a_single_degree_of_freedom_gives_values_alone():
    draws = np.random.default_rng(0)
    base, head = (runs(draws, [8.0, 12.0], 1) for _ in range(2))
    (slope, _), found = slopes(base, head), ratio_at(ACCURACY.target, base, head)
    assert slope.shared
    rate, length = rate_at(400.0, base, slope, "1/s"), length_at(ACCURACY.target, base, slope, "s")
    assert {(one.low, one.high) for one in (found, rate, length)} == {(None, None)}
    assert found.value == pytest.approx(1, abs=0.2)
    # One run more, and both still share the rate, which now has an interval.
    more = runs(draws, [8.0, 10.0, 12.0], 1)
    assert [one.shared for one in slopes(more, head)] == [True, True]
    assert rate_at(400.0, more, slopes(more, head)[0], "1/s").low is not None


def test_without_a_clear_rise_there_is_no_interval():
    draws = np.random.default_rng(0)
    flat = [Trend.of([390, 400, 410] * 2, 0.94 + 0.0001 * np.arange(6) + 0.002 * draws.standard_normal(6))] * 2
    found = ratio_at(ACCURACY.target, *flat)
    assert (found.low, found.high) == (None, None)


@pytest.mark.parametrize(
    ("lengths", "accuracies", "why"),
    [
        ([400, 400, 400], [0.94, 0.94, 0.95], "all runs are of one length"),
        ([400, 500], [0.94, 0.95], "2 runs are too few"),
        ([400, 500, 600], [0.5, 0.5, 0.5], "runs of different lengths are equally good"),
    ],
)
def test_what_tells_no_rate_is_refused_with_what_to_do(lengths, accuracies, why):
    with pytest.raises(NoRate, match=why):
        slopes(Trend.of(lengths, accuracies))
