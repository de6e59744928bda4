"""Effects of factors: against a regression, and how often the interval covers and the test errs."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from bench.statistics.factors import (
    ComparedCells,
    FactorCell,
    compared_within_blocks,
    interaction,
    margin,
    mean_of_cells,
)

DRAWS = 1000


def crossed(*sides: int, mean=lambda levels: 0.0, sd=lambda levels: 1.0, repeats=3, seed=0):
    rng = np.random.default_rng(seed)
    return [
        FactorCell(levels, tuple(rng.normal(mean(levels), sd(levels), repeats).tolist()))
        for levels in itertools.product(*map(range, sides))
    ]


class TestMargin:
    def test_is_the_mean_of_the_cell_means_at_each_level(self):
        cells = [FactorCell(("a", 1), (1.0, 3.0)), FactorCell(("a", 2), (10.0,)), FactorCell(("b", 1), (5.0,)),
                 FactorCell(("b", 2), (7.0, 7.0, 7.0))]  # fmt: skip
        found = margin(cells, (0,))
        assert {levels: estimate.value for levels, estimate in found.estimates.items()} == {("a",): 6.0, ("b",): 6.0}
        assert {levels: estimate.n for levels, estimate in found.estimates.items()} == {("a",): 3, ("b",): 4}
        assert (found.over, found.left_out) == (2, 0)

    def test_a_missing_cell_cannot_pass_for_an_effect(self):
        # b is never measured where everything is slow.
        cells = [FactorCell(("a", "quick"), (1.0,)), FactorCell(("a", "slow"), (100.0,)),
                 FactorCell(("b", "quick"), (1.0,)), FactorCell(("b", "slow"), ())]  # fmt: skip
        found = margin(cells, (0,))
        assert [estimate.value for estimate in found.estimates.values()] == [1.0, 1.0]
        assert (found.over, found.left_out) == (1, 1)

    def test_nothing_is_compared_where_no_combination_has_every_level(self):
        cells = [FactorCell(("a", 1), (1.0,)), FactorCell(("b", 2), (2.0,))]
        assert margin(cells, (0,)).estimates == {}

    def test_of_one_factor_it_is_students_interval(self):
        from bench.statistics.estimates import mean

        found = margin([FactorCell(("a",), (1.0, 2.0, 4.0)), FactorCell(("b",), (1.0, 1.0, 1.0))], (0,)).estimates
        assert found[("a",)].low == pytest.approx(mean([1.0, 2.0, 4.0]).low)
        assert found[("b",)].low is None

    def test_has_no_interval_where_few_repeats_make_it_useless(self):
        assert mean_of_cells([(1.0, 2.0)]).low is None
        assert mean_of_cells([(1.0, 2.0), (3.0,)]).low is None
        assert mean_of_cells([(1.0, 2.0)] * 4).low is not None

    def test_its_interval_covers_the_truth(self):
        covered = 0
        for seed in range(DRAWS):
            cells = crossed(2, 4, mean=lambda levels: 5.0 * levels[1], sd=lambda levels: 1.0 + levels[1], seed=seed)
            found = margin(cells, (0,)).estimates[(0,)]
            assert found.low is not None and found.high is not None  # noqa: PT018
            covered += found.low <= 7.5 <= found.high
        assert 0.935 <= covered / DRAWS <= 0.97


def with_seeds(cells, effects, ratios=False):
    """The cells with what each seed adds to all of them, or multiplies them by."""
    return [
        FactorCell(
            cell.levels,
            tuple(v * math.exp(e) if ratios else v + e for v, e in zip(cell.values, effects, strict=True)),
            tuple(range(len(effects))),
        )
        for cell in cells
    ]


class TestBlocks:
    EFFECTS = (-20.0, 30.0, 5.0)

    @pytest.mark.parametrize("ratios", [False, True])
    def test_what_a_seed_does_to_all_cells_is_not_in_the_intervals(self, ratios):
        cells = crossed(2, 2, mean=lambda levels: 20.0 + levels[0], sd=lambda levels: 0.5)
        effects = [effect / 100 for effect in self.EFFECTS] if ratios else self.EFFECTS
        alone, common = (
            compared_within_blocks(with_seeds(cells, each, ratios), ratios).cells for each in ((0.0,) * 3, effects)
        )
        for levels, found in margin(common, (0,)).estimates.items():
            expected = margin(alone, (0,)).estimates[levels]
            assert found.high - found.low == pytest.approx(expected.high - expected.low, rel=0.1)

    @pytest.mark.parametrize("ratios", [False, True])
    def test_a_cell_with_all_seeds_keeps_its_mean(self, ratios):
        cells = with_seeds(crossed(2, 3, mean=lambda levels: 200.0), self.EFFECTS)
        for before, after in zip(cells, compared_within_blocks(cells, ratios).cells, strict=True):
            assert np.mean(after.values) == pytest.approx(np.mean(before.values))

    def test_a_seed_that_failed_cannot_pass_for_an_effect(self):
        cells = with_seeds([FactorCell((level,), (100.0, 100.1, 99.9)) for level in range(4)], self.EFFECTS)
        cells[0] = replace(cells[0], values=cells[0].values[:2], blocks=cells[0].blocks[:2])
        found = margin(compared_within_blocks(cells, ratios=False).cells, (0,)).estimates
        assert found[(0,)].value == pytest.approx(found[(1,)].value, abs=0.2)

    def test_its_intervals_cover_the_differences_between_levels(self):
        rng, covered = np.random.default_rng(5), 0
        for seed in range(DRAWS):
            effects = rng.normal(0, 10, 3)
            cells = crossed(2, 4, mean=lambda levels: 5.0 * levels[1], sd=lambda levels: 1.0 + levels[1], seed=seed)
            found = margin(compared_within_blocks(with_seeds(cells, effects), False).cells, (0,)).estimates[(0,)]
            covered += found.low <= 7.5 + effects.mean() <= found.high
        assert 0.93 <= covered / DRAWS <= 0.975

    def test_two_cells_are_compared_as_by_pairs(self):
        first, second = (10.0, 14.0, 12.0, 20.0), (11.0, 15.5, 12.5, 21.0)
        blocks = tuple("abcd")
        cells, degrees = compared_within_blocks(
            [FactorCell(("x",), first, blocks), FactorCell(("y",), second, blocks)], False
        )
        assert degrees == 3
        found = margin(cells, (0,)).estimates
        pairs = np.subtract(second, first)
        # The variance of the difference of two independent means is the sum of theirs.
        half = {levels: (at.high - at.low) / 2 / special.stdtrit(3, 0.975) for levels, at in found.items()}
        assert math.hypot(*half.values()) == pytest.approx(pairs.std(ddof=1) / 2)

    @pytest.mark.parametrize(
        "blocks",
        [(("a",), ("b",)), ((), ()), (("a", "b"), ("c", "d"))],
        ids=["a host each", "unknown", "nothing in common"],
    )
    def test_what_cannot_be_told_from_noise_stays(self, blocks):
        cells = [FactorCell((place,), (1.0, 2.0)[: len(of) or 2], of) for place, of in enumerate(blocks)]
        assert compared_within_blocks(cells, ratios=True) == ComparedCells(cells)

    def test_few_degrees_are_kept_to(self):
        cells = crossed(2, 4)
        free, bound = (margin(cells, (0,), most_degrees=most).estimates[(0,)] for most in (math.inf, 2))
        assert bound.high - bound.low > 1.5 * (free.high - free.low)
        assert margin(cells, (0,), most_degrees=1).estimates[(0,)].low is None

    def test_an_interaction_is_found_beneath_them(self):
        cells = crossed(2, 2, mean=lambda levels: 3.0 * levels[0] * levels[1], repeats=5, sd=lambda levels: 0.5, seed=1)
        effects = (0.0, 40.0, -30.0, 15.0, 5.0)
        noisy = with_seeds(cells, effects)
        assert interaction(noisy, 0, 1, ratios=False).p < 0.001
        assert interaction([replace(cell, blocks=()) for cell in noisy], 0, 1, ratios=False).p > 0.5

    def test_the_test_of_an_interaction_keeps_its_level(self):
        rng = np.random.default_rng(9)

        def draw(seed):
            cells = with_seeds(crossed(2, 2, seed=seed), rng.normal(0, 5, 3))
            return interaction(cells, 0, 1, ratios=False).p

        assert 0.035 <= sum(draw(seed) < 0.05 for seed in range(DRAWS)) / DRAWS <= 0.065


class TestInteraction:
    def test_is_the_f_test_of_a_regression(self):
        cells = crossed(2, 3, mean=lambda levels: levels[0] * levels[1], repeats=4, seed=3)
        y = np.concatenate([cell.values for cell in cells])
        levels = np.repeat([cell.levels for cell in cells], 4, axis=0)
        additive = np.column_stack([np.ones(24), levels[:, 0], levels[:, 1] == 1, levels[:, 1] == 2])
        rss = np.linalg.lstsq(additive, y, rcond=None)[1][0]
        within = sum(np.var(cell.values) * 4 for cell in cells)
        f = ((rss - within) / 2) / (within / 18)
        assert interaction(cells, 0, 1, ratios=False).p == pytest.approx(special.fdtrc(2, 18, f))

    @pytest.mark.parametrize("ratios", [False, True])
    def test_finds_no_more_than_its_level_where_there_is_none(self, ratios):
        def mean(levels):
            return 20.0 * 2.0 ** (levels[0] + levels[1]) if ratios else 5.0 * levels[0] + 3.0 * levels[1]

        def draw(seed):
            cells = crossed(2, 2, 2, mean=mean, sd=lambda levels: 0.02 * mean(levels) if ratios else 1.0, seed=seed)
            return interaction(cells, 0, 1, ratios).p

        found = sum(draw(seed) < 0.05 for seed in range(DRAWS))
        assert 0.035 <= found / DRAWS <= 0.065

    def test_finds_one_that_is_there(self):
        cells = crossed(2, 2, mean=lambda levels: 4.0 * levels[0] * levels[1], seed=1)
        p = interaction(cells, 0, 1, ratios=False).p
        assert p is not None
        assert p < 0.01

    def test_effects_that_multiply_are_none_of_ratios(self):
        cells = [
            FactorCell((a, b), tuple(10.0 * 2**a * 3**b * f for f in (0.99, 1.0, 1.01))) for a in (0, 1) for b in (0, 1)
        ]
        as_ratios, as_differences = (interaction(cells, 0, 1, ratios).p for ratios in (True, False))
        assert as_ratios > 0.9
        assert as_differences < 1e-6

    @pytest.mark.parametrize(
        "cells",
        [
            [FactorCell((a, b), (1.0,)) for a in (0, 1) for b in (0, 1)],
            [FactorCell((a, b), (2.0, 2.0)) for a in (0, 1) for b in (0, 1)],
            [FactorCell((a, 0), (1.0, 2.0)) for a in (0, 1)],
            [FactorCell((0, 0), (1.0, 2.0)), FactorCell((0, 1), (1.0, 2.0)), FactorCell((1, 0), (1.0, 2.0))],
            [FactorCell((a, b), (0.0, -1.0)) for a in (0, 1) for b in (0, 1)],
            [],
        ],
        ids=["one each", "equal", "one level", "a hole", "not positive", "none"],
    )
    def test_says_nothing_where_it_cannot(self, cells):
        assert interaction(cells, 0, 1, ratios=True).p is None


def test_a_mean_of_cells_counts_each_cell_alike():
    assert mean_of_cells([(1.0,) * 100, (3.0,)]).value == 2.0
    assert math.isclose(mean_of_cells([(1.0, 2.0, 3.0)] * 2).value, 2.0)
