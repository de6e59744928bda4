"""What the recipes of the speed runs say, against the numbers of their sources."""

from __future__ import annotations

import pytest
import torch

from bench.measures import assembly
from bench.models.speedrun import SpeedrunNet
from bench.spec import recipes
from bench.training.flops import training_flops

STEPS_PER_EPOCH = 50_000 // 1536


@pytest.fixture
def e1():
    return recipes.load("speedrun94_e1", "cuda")


def test_e1_changes_the_size_behind_its_third_and_its_sixth_epoch(e1):
    plan = assembly.build_curriculum(e1, STEPS_PER_EPOCH)
    assert plan.total_batches == 284
    pixels = [plan.stage(batch).pixels for batch in range(284)]
    assert pixels == [24] * 96 + [28] * 96 + [None] * 92
    assert [stage.antialias for stage in plan.stages] == [False, False, True]


def test_e1s_rate_falls_for_eight_and_a_half_epochs_and_holds(e1):
    schedule = assembly.build_schedule(e1, assembly.build_curriculum(e1, STEPS_PER_EPOCH))
    assert schedule(136 / 284).lr_factor == pytest.approx(0.525, abs=1e-4)
    assert [schedule(step / 284).lr_factor for step in (272, 278, 283)] == pytest.approx([0.05] * 3, abs=1e-4)
    assert schedule(271 / 284).lr_factor > 0.053


def test_e1_averages_from_eight_steps_before_the_rate_has_fallen(e1):
    begun = [step for step in range(1, 285) if step % e1.ema.every == 0 and step >= e1.ema.start * 284]
    assert begun == [264, 268, 272, 276, 280, 284]
    assert e1.ema.decay**e1.ema.every == pytest.approx(0.7, abs=1e-5)


def test_ours_is_e1_with_a_shorter_middle_by_the_counts_that_it_states(e1):
    flops, steps = [], []
    net = SpeedrunNet()
    trained = frozenset(p for p in net.parameters() if p.requires_grad and p is not net.whiten.bias)
    of_pixels = {pixels: training_flops(net, torch.zeros(1, 3, pixels, pixels), trained) for pixels in (24, 28, 32)}
    for recipe in (e1, recipes.load("cifar94", "cuda")):
        plan = assembly.build_curriculum(recipe, STEPS_PER_EPOCH)
        pixels = [plan.stage(batch).pixels or 32 for batch in range(plan.total_batches)]
        flops.append(recipe.batch_size * sum(of_pixels[size] for size in pixels))
        steps.append(plan.total_steps)
    assert pixels == [24] * 96 + [28] * 57 + [32] * 89
    assert [plan.batches_in(epoch) for epoch in range(10)] == [32] * 3 + [19] * 6 + [32]
    assert [round(count / 1e15, 3) for count in flops] == [0.224, 0.19]
    assert steps == [284, 242]
    schedule = assembly.build_schedule(recipe, plan)
    assert [round(schedule(step / 242).lr_factor, 4) for step in (229, 230, 241)] == [0.0541, 0.05, 0.05]
    begun = [step for step in range(1, 243) if step % 4 == 0 and step >= recipe.ema.start * 242]
    assert begun == [224, 228, 232, 236, 240]


def test_a_recipe_is_another_ones_name_on_each_device():
    for device in ("cpu", "cuda"):
        assert recipes.load("cifar94", device) == recipes.load(f"cifar94_{device}", device)


@pytest.mark.parametrize("name", ["speedrun94_hiverge", "speedrun94_e1", "cifar100_75"])
def test_hiverges_decay_is_one_number_an_example(name):
    recipe = recipes.load(name, "cuda")
    optimizer, decay = recipe.optimizer, 1.0418e-6 * recipe.batch_size
    assert optimizer.weight_decay == pytest.approx(decay, rel=1e-4)
    for group in optimizer.groups.values():
        assert group.lr * group.weight_decay == pytest.approx(decay, rel=1e-4)
