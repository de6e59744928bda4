import pytest
import torch
from torch import nn

from bench.training.loss_surface import loss_slice, random_direction, relief, roughness

STEPS = [-1.0, -0.5, 0.0, 0.5, 1.0]


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4))


def directions(model):
    return tuple(random_direction(model, torch.Generator().manual_seed(seed)) for seed in (1, 2))


def test_each_filter_of_a_direction_is_as_long_as_the_networks_and_norms_stay():
    model = net()
    direction, _ = directions(model)
    assert set(direction) == {"0.weight", "3.weight"}
    for name, noise in direction.items():
        weight = dict(model.named_parameters())[name]
        assert torch.allclose(noise.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1), atol=1e-5)


def test_a_slice_has_its_known_values_and_puts_the_weights_back():
    model = net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = directions(model)

    def first_weight():
        return model[0].weight[0, 0, 0, 0].item()

    surface = loss_slice(model, (first, second), STEPS, first_weight)
    one, a, b = first_weight(), first["0.weight"][0, 0, 0, 0].item(), second["0.weight"][0, 0, 0, 0].item()
    expected = torch.tensor([[one + x * a + y * b for y in STEPS] for x in STEPS])
    assert torch.allclose(torch.tensor(surface), expected, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_bowl_is_smooth_and_noise_is_rough():
    bowl = [[2.718 ** (x * x + 2 * y * y + x * y) for y in STEPS] for x in STEPS]
    assert roughness(bowl) < 1e-6
    noise = torch.rand(25, 25, generator=torch.Generator().manual_seed(0)).exp()
    # Of a uniform distribution from 0 to 1.
    assert 0.25 < roughness(noise.tolist()) < 0.3
    assert 0.27 < relief(noise.tolist()) < 0.31


def test_a_slice_twice_as_steep_is_twice_as_rough():
    noise = torch.rand(9, 9, generator=torch.Generator().manual_seed(0))
    assert roughness((2 * noise).exp().tolist()) == pytest.approx(2 * roughness(noise.exp().tolist()))


def test_what_is_flat_is_smooth_and_nothing_is_told_of_what_is_not_finite():
    assert roughness([[2.0] * 3] * 3) == pytest.approx(0, abs=1e-9)
    assert relief([[1.0, 2.0, 0.0]] * 3) is None
    assert roughness([[1.0, 2.0, float("inf")]] * 3) is None
