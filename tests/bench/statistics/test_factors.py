"""Effects of factors: against a regression, and how often the interval covers and the test errs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import special

from bench.statistics.factors import FactorCell, interaction, margin, mean_of_cells

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
