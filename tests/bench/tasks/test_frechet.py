import pytest
import torch
from scipy.linalg import sqrtm
from torch import nn

from bench.tasks.frechet import Moments, class_coverage, frechet_distance, seen
from bench.training.trained_net import TrainedNet


def features(seed, count=400, width=6, shift=0.0):
    draws = torch.Generator().manual_seed(seed)
    mixed = torch.randn(width, width, generator=draws)
    return torch.randn(count, width, generator=draws) @ mixed + shift


def test_it_is_the_formula_with_scipys_root():
    one, other = Moments.of(features(0)), Moments.of(features(1, shift=0.5))
    root = sqrtm((one.covariance @ other.covariance).numpy()).real
    expected = ((one.mean - other.mean) ** 2).sum() + (one.covariance + other.covariance).trace() - 2 * root.trace()
    assert frechet_distance(one, other) == pytest.approx(float(expected), rel=1e-6)
    assert frechet_distance(other, one) == pytest.approx(frechet_distance(one, other), rel=1e-6)


def test_equal_sets_are_at_no_distance_and_a_shift_counts_by_its_square():
    some = features(0)
    assert frechet_distance(Moments.of(some), Moments.of(some)) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(Moments.of(some), Moments.of(some + 2.0)) == pytest.approx(6 * 4, rel=1e-6)


def test_pictures_that_are_all_alike_have_a_distance_too():
    assert frechet_distance(Moments.of(torch.ones(50, 6)), Moments.of(features(0))) > 0
    assert Moments.of(torch.randn(5, 1)).covariance.shape == (1, 1)


@pytest.mark.parametrize(("counts", "coverage"), [([50, 50], 1.0), ([95, 5], 1.0), ([96, 4], 0.5), ([100, 0], 0.5)])
def test_a_class_counts_as_there_with_a_tenth_of_its_share(counts, coverage):
    classes = torch.repeat_interleave(torch.arange(2), torch.tensor(counts))
    assert class_coverage(classes, 2) == coverage


def test_features_are_what_the_last_layer_is_given():
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4)).eval()
    known = TrainedNet(net, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
    pixels = torch.rand(7, 3, 8, 8)
    found = seen(known, pixels)
    normalised = (pixels - torch.tensor(known.mean).view(3, 1, 1)) / torch.tensor(known.std).view(3, 1, 1)
    assert torch.allclose(found.features, net[:3](normalised), atol=1e-6)
    assert torch.equal(found.classes, net(normalised).argmax(1))


def test_a_conv_as_the_last_layer_is_averaged_over_the_picture():
    net = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = seen(TrainedNet(net, (0.0,), (1.0,)), torch.rand(7, 1, 8, 8))
    assert found.features.shape == (7, 5)
