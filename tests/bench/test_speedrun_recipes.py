"""What the recipes of the speed runs say, against the numbers of their sources."""

from __future__ import annotations

import pytest

from bench import assembly
from bench import recipe as recipes

STEPS_PER_EPOCH = 50_000 // 1536


@pytest.fixture
def e1():
    return recipes.load("speedrun94_e1", "cuda")


def test_e1_changes_the_size_behind_its_third_and_its_sixth_epoch(e1):
    plan = assembly.build_plan(e1, STEPS_PER_EPOCH)
    assert plan.total_batches == 284
    pixels = [plan.stage(batch).pixels for batch in range(284)]
    assert pixels == [24] * 96 + [28] * 96 + [None] * 92
    assert [stage.antialias for stage in plan.stages] == [False, False, True]


def test_e1s_rate_falls_for_eight_and_a_half_epochs_and_holds(e1):
    schedule = assembly.build_schedule(e1, assembly.build_plan(e1, STEPS_PER_EPOCH))
    assert schedule(136 / 284).lr_factor == pytest.approx(0.525, abs=1e-4)
    assert [schedule(step / 284).lr_factor for step in (272, 278, 283)] == pytest.approx([0.05] * 3, abs=1e-4)
    assert schedule(271 / 284).lr_factor > 0.053


def test_e1_averages_from_eight_steps_before_the_rate_has_fallen(e1):
    begun = [step for step in range(1, 285) if step % e1.ema.every == 0 and step >= e1.ema.start * 284]
    assert begun == [264, 268, 272, 276, 280, 284]
    assert e1.ema.decay**e1.ema.every == pytest.approx(0.7, abs=1e-5)


@pytest.mark.parametrize("name", ["speedrun94_hiverge", "speedrun94_e1", "cifar100_75"])
def test_hiverges_decay_is_one_number_an_example(name):
    recipe = recipes.load(name, "cuda")
    optimizer, decay = recipe.optimizer, 1.0418e-6 * recipe.batch_size
    assert optimizer.weight_decay == pytest.approx(decay, rel=1e-4)
    for group in optimizer.groups.values():
        assert group.lr * group.weight_decay == pytest.approx(decay, rel=1e-4)
