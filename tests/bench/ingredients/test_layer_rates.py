import pytest
import torch
from torch import nn

from bench.ingredients.layer_rates import rate_factors
from bench.training.optimizers import Optimizers
from bench.training.schedules import linear


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))


def of_layers(model, factors):
    return [factors[model[index].weight] for index in (0, 2, 3, 4)]


def test_rates_rise_geometrically_from_the_first_layer_to_the_last():
    model = net()
    factors = rate_factors(model, 0.001)
    assert of_layers(model, factors) == pytest.approx([0.001, 0.01, 0.1, 1])
    assert factors[model[0].bias] == factors[model[0].weight]
    assert of_layers(model, rate_factors(model, 0.01, groups=2)) == pytest.approx([0.01, 0.01, 1, 1])


@pytest.mark.parametrize("groups", [5, 1])
def test_groups_that_cannot_be_made_are_refused(groups):
    with pytest.raises(ValueError, match=f"{groups} groups cannot be made of 4 layers"):
        rate_factors(net(), 0.1, groups)


def test_a_step_of_the_first_layer_is_so_much_smaller_and_follows_the_schedule():
    model = net()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizers = Optimizers(
        model,
        {"name": "sgd", "lr": 1.0},
        {"biases": {"lr": 2.0}},
        linear(),
        10,
        5,
        rate_factors=rate_factors(model, 0.001),
    )
    optimizers.set_progress(5)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    for optimizer in optimizers.all:
        optimizer.step()
    moved = [(old - new).mean().item() for old, new in zip(before, model.parameters(), strict=True)]
    assert moved[::2] == pytest.approx([0.0005, 0.005, 0.05, 0.5], rel=1e-3)
    assert moved[1::2] == pytest.approx([0.001, 0.01, 0.1, 1], rel=1e-3)
    assert optimizers.lr == 0.5
