import pytest
import torch
from torch import nn

import models
from models.darknet import Darknet


def build(**options):
    return models.build("darknet", options, in_channels=3, classes=10, image_size=32)


def test_the_lessons_network_has_the_lessons_layers():
    net = build()
    convs = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    # The stem, one conv that opens each of five groups, and two in each residual layer.
    assert len(convs) == 1 + 5 + 2 * (1 + 2 + 4 + 6 + 3)
    assert [conv.out_channels for conv in convs if conv.stride == (2, 2)] == [64, 256, 512, 1024]
    assert all(conv.bias is None for conv in convs)
    assert all(module.momentum == 0.01 for module in net.modules() if isinstance(module, nn.BatchNorm2d))


def test_batch_norm_starts_as_in_the_torch_of_the_lesson():
    scales = torch.cat([module.weight for module in build().modules() if isinstance(module, nn.BatchNorm2d)])
    assert 0 <= scales.min() < 0.05
    assert 0.95 < scales.max() <= 1
    assert scales.mean().item() == pytest.approx(0.5, abs=0.02)


def test_parameters_add_up():
    def conv(channels_in, channels_out, kernel):
        return channels_in * channels_out * kernel**2 + 2 * channels_out

    expected, width = conv(3, 32, 3), 32
    for layers in (1, 2, 4, 6, 3):
        expected += conv(width, 2 * width, 3)
        width *= 2
        expected += layers * (conv(width, width // 2, 1) + conv(width // 2, width, 3))
    assert sum(p.numel() for p in build().parameters()) == expected + width * 10 + 10


@pytest.mark.parametrize("size", [32, 48])
def test_adaptive_pooling_takes_any_size(size):
    assert build(blocks=[1, 1, 1], width=4)(torch.randn(2, 3, size, size)).shape == (2, 10)


def test_gradients_reach_every_parameter():
    net = build(blocks=[1, 1, 1], width=4)
    net(torch.randn(4, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_an_image_too_small_is_refused_with_the_numbers():
    with pytest.raises(models.ImpossibleModel, match="4 groups halve the image, so it needs 16 pixels, not 8"):
        models.build("darknet", {}, in_channels=1, classes=10, image_size=8)


def test_the_default_options_are_the_lessons():
    assert [p.shape for p in Darknet().parameters()] == [p.shape for p in build().parameters()]
