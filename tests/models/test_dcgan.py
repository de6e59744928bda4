"""The DCGAN's two networks: their sizes as stated, their shapes, and what their options change."""

import pytest
import torch
from torch import nn

from bench import models
from bench.models import ImpossibleModel
from bench.models.dcgan import Dcgan


def made(**options):
    with torch.device("meta"):
        return Dcgan(**options)


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(("pixels", "critic", "generator"), [(64, 2_802_560, 3_613_696), (32, 700_288, 1_105_920)])
def test_the_networks_have_as_many_parameters_as_stated(pixels, critic, generator):
    net = made(image_size=pixels)
    assert (count(net.critic), count(net.generator)) == (critic, generator)


@pytest.mark.parametrize("pixels", [8, 16, 32])
@pytest.mark.parametrize(
    "options",
    [{}, {"upsample": "resize_conv"}, {"upsample": "shuffle"}, {"critic_head": "pool_linear", "critic_norm": "layer"}],
)
def test_noise_becomes_images_and_images_become_a_score_each(pixels, options):
    net = Dcgan(in_channels=1, image_size=pixels, width=4, noise=6, **options)
    images = net.generator(torch.randn(3, 6, 1, 1))
    assert images.shape == (3, 1, pixels, pixels)
    assert images.abs().max() <= 1
    assert net.critic(images).shape == (3,)


def test_every_conv_is_without_bias_and_a_block_ends_in_its_norm():
    net = made(image_size=32)
    assert all(one.bias is None for one in net.modules() if isinstance(one, nn.Conv2d | nn.ConvTranspose2d))
    kinds = [type(layer).__name__ for layer in net.critic]
    assert kinds[:2] == ["Conv2d", "LeakyReLU"]  # the first block has no norm
    assert kinds[2:5] == ["Conv2d", "LeakyReLU", "BatchNorm2d"]
    assert [type(layer).__name__ for layer in net.generator][:3] == ["ConvTranspose2d", "ReLU", "BatchNorm2d"]


@pytest.mark.parametrize("pixels", [2, 4, 28, 48])
def test_sizes_that_do_not_halve_to_four_are_refused_with_the_number(pixels):
    with pytest.raises(ImpossibleModel, match=rf"4 times a power of two pixels a side .*not {pixels}"):
        models.check("dcgan", {}, in_channels=1, classes=10, image_size=pixels)


def test_an_unknown_way_to_double_the_resolution_names_the_known_ones():
    with pytest.raises(ImpossibleModel, match="allowed: transposed, resize_conv, shuffle"):
        models.check("dcgan", {"upsample": "transpose"}, in_channels=3, classes=10, image_size=32)
