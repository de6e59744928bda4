import pytest
import torch

from bench import models
from bench.models.layers import MaxPool, MeanPool


@pytest.mark.parametrize("size", [(4, 4), (1, 1), (5, 3)])
def test_pooling_is_the_mean_over_all_pixels(size):
    x = torch.randn(3, 7, *size)
    assert torch.allclose(MeanPool()(x), x.mean((2, 3)), atol=1e-6)


@pytest.mark.parametrize("name", ["darknet", "wide_resnet"])
def test_the_gradient_that_enters_the_body_is_channels_last(name):
    """Else the layers before the pooling work on two memory layouts at once, which is slow."""
    options = {"darknet": {"blocks": [1], "width": 4}, "wide_resnet": {"depth": 10, "widen": 1}}[name]
    net = models.build(name, options, in_channels=3, classes=10, image_size=16).to(memory_format=torch.channels_last)
    gradients = []
    net.body.register_forward_hook(lambda module, given, out: out.register_hook(gradients.append) and None)
    net(torch.randn(2, 3, 16, 16).to(memory_format=torch.channels_last)).square().sum().backward()
    (gradient,) = gradients
    assert gradient.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [(4, 4), (1, 1), (5, 3)])
def test_pooling_is_the_maximum_over_all_pixels_and_one_of_those_that_are_equal_has_the_gradient(size):
    x = torch.randint(2, (3, 7, *size)).float().requires_grad_()
    pooled = MaxPool()(x)
    assert torch.equal(pooled, x.amax((2, 3)))
    pooled.sum().backward()
    assert torch.equal(x.grad.sum((2, 3)), torch.ones(3, 7))
    assert set(x.grad.unique().tolist()) <= {0.0, 1.0}


def test_the_gradient_of_a_maximum_is_channels_last():
    x = torch.randn(3, 7, 4, 4).to(memory_format=torch.channels_last).requires_grad_()
    gradients = []
    y = x * 1
    y.register_hook(gradients.append)
    MaxPool()(y).sum().backward()
    assert gradients[0].is_contiguous(memory_format=torch.channels_last)
