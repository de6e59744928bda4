"""The rate finder: on curves with a known answer, and on a network whose weights it must leave alone."""

import math

import pytest
import torch
from torch import nn

from bench.host.clock import Clock
from bench.training.device import Device
from bench.training.goal import Goal
from bench.training.loss import Loss
from bench.training.lr_finder import BELOW_BEST, Curve, find_rate
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.schedules import constant
from bench.training.step import TrainingStep
from bench.training.trainer import Trainer


def curve_of(loss):
    """100 rates from 1e-7 to 10, and at each the loss."""
    curve = Curve()
    for step in range(100):
        rate = 1e-7 * 1e8 ** (step / 99)
        curve.add(rate, loss(rate))
        if curve.exploded:
            break
    return curve


def test_of_a_bowl_with_its_best_at_a_tenth_the_suggestion_is_a_hundredth_or_a_little_more():
    curve = curve_of(lambda rate: 1 + 0.1 * (math.log10(rate) + 1) ** 2)
    # The mean lags behind the losses by some nine batches, which is a factor of five.
    assert 0.1 <= curve.rates[curve.best] < 0.6
    assert curve.suggestion == curve.rates[curve.best] / BELOW_BEST


def test_the_first_smoothed_loss_is_the_first_loss():
    assert curve_of(lambda _: 3.0).smoothed == pytest.approx([3.0] * 100)


def test_the_steepest_rate_lies_where_the_loss_falls_fastest():
    curve = curve_of(lambda rate: 2 - math.tanh(4 * (math.log10(rate) + 3)))
    assert 1e-3 < curve.rates[curve.steepest] < 1e-2


@pytest.mark.parametrize("explosion", [1e9, math.inf, math.nan])
def test_it_ends_where_the_loss_explodes(explosion):
    curve = curve_of(lambda rate: explosion if rate > 1e-2 else 1.0)
    assert 1e-2 < curve.rates[-1] < 1e-1


def test_a_loss_that_never_falls_suggests_nothing():
    curve = curve_of(lambda rate: 1 + rate)
    assert curve.suggestion is None
    assert curve.steepest is None


class Batches:
    steps_per_epoch = 3

    def epoch(self, epoch):
        generator = torch.Generator().manual_seed(epoch)
        for _ in range(self.steps_per_epoch):
            images = torch.randn(32, 1, 2, 2, generator=generator)
            yield images, (images.sum((1, 2, 3)) > 0).long()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_network_gets_its_weights_back_and_a_rate_at_which_it_learns(reduction):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rate = 0.5

    def trainer():
        train_step = TrainingStep(
            model,
            model,
            lambda: Optimizers(model, {"name": "sgd", "lr": rate, "momentum": 0.9}, {}, constant(), 30, 3),
            Precision("fp32", Device("cpu")),
            Loss(reduction=reduction),
        )
        return Trainer(train_step, Batches(), Batches(), Goal(epochs=10), Clock())

    told = []
    curve = find_rate(trainer(), rate, 1e-6, 10.0, 60, lambda step, loss: told.append((step, loss)))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [loss for _, loss in told] == curve.losses
    assert curve.rates[:2] == pytest.approx([1e-6, 1e-6 * 1e7 ** (1 / 59)])
    assert curve.losses[0] == pytest.approx(0.7, abs=0.25)  # of an example, whatever the reduction
    rate = curve.suggestion
    after = trainer()
    after.run()
    assert after.rows[-1]["loss"] < 0.6 * curve.losses[0]
