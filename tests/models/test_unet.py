"""The U-Net: its size as published, its shapes, and what each option changes."""

import pytest
import torch
from torch import nn

from bench.models.unet import image_unet, unet

SMALL = {"widths": [8, 8, 16]}


def count(parameters):
    return sum(parameter.numel() for parameter in parameters)


@pytest.fixture(scope="module")
def lectures():
    return unet(3, 12, 360, "resnet34")


def test_with_resnet34_and_twelve_classes_it_has_the_lectures_parameters(lectures):
    assert count(lectures.parameters()) == 41_133_018


def test_with_the_encoder_frozen_but_for_its_norms_the_lectures_are_trained(lectures):
    of_decoder = count(lectures.parameters()) - count(lectures.encoder.parameters())
    norms = (one for one in lectures.encoder.modules() if isinstance(one, nn.BatchNorm2d))
    assert of_decoder == 19_848_346
    assert of_decoder + sum(count(norm.parameters()) for norm in norms) == 19_865_370


def test_its_blocks_are_as_wide_as_the_lectures(lectures):
    assert [block.norm.num_features for block in lectures.blocks] == [256, 128, 64, 64]
    assert [block.convs[-2].out_channels for block in lectures.blocks] == [512, 384, 256, 96]


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (24, 17), (9, 8)])
def test_images_of_any_size_keep_it(size):
    images = torch.randn(2, 3, *size)
    assert unet(3, 5, 8, **SMALL)(images).shape == (2, 5, *size)
    assert image_unet(3, 10, 8, **SMALL)(images).shape == (2, 3, *size)


def test_images_of_a_gpus_size_with_resnet34(lectures):
    with torch.no_grad():
        assert lectures(torch.randn(1, 3, 90, 121)).shape == (1, 12, 90, 121)


@pytest.mark.parametrize("option", ["skips", "input_cross"])
def test_what_is_left_out_takes_its_parameters_with_it(option):
    with_it, without = (count(unet(3, 5, 32, **SMALL, **{option: on}).parameters()) for on in (True, False))
    assert without < with_it


def test_without_skips_only_the_deepest_features_matter():
    torch.manual_seed(0)
    net = unet(3, 5, 32, skips=False, input_cross=False, **SMALL).eval()
    features = net.encoder(torch.randn(1, 3, 32, 32))
    net.encoder.forward = lambda _: [torch.zeros_like(features[0]), *features[1:]]
    blank = net(torch.zeros(1, 3, 32, 32))
    net.encoder.forward = lambda _: features
    assert torch.equal(blank, net(torch.zeros(1, 3, 32, 32)))
    net.encoder.forward = lambda _: [*features[:-1], features[-1] + 1]
    assert not torch.equal(blank, net(torch.zeros(1, 3, 32, 32)))


def test_a_residual_block_adds_its_input():
    net = unet(3, 5, 32, residual=True, **SMALL)
    first, last = (block.convs for block in net.blocks)
    for parameter in first.layers.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(1, 16, 4, 4)
    assert torch.equal(first(x), x)
    assert last.shortcut.out_channels == 8  # whose input has more channels
    assert isinstance(unet(3, 5, 32, **SMALL).blocks[0].convs, nn.Sequential)


@pytest.mark.parametrize("weight_norm", [False, True])
def test_doubling_starts_without_a_checkerboard(weight_norm):
    net = image_unet(3, 10, 32, blur=False, weight_norm=weight_norm, **SMALL)
    doubled = net.doubling(torch.randn(1, 8, 5, 5))
    for rows, columns in ((0, 1), (1, 0), (1, 1)):
        assert torch.allclose(doubled[..., ::2, ::2], doubled[..., rows::2, columns::2])


def test_the_blur_is_the_mean_of_a_pixel_and_its_neighbours_above_and_left():
    doubling = unet(3, 5, 32, blur=True, **SMALL).blocks[0].doubling
    sharp = doubling[:3](torch.randn(1, 16, 4, 4))
    blurred = doubling[3:](sharp)
    assert blurred.shape == sharp.shape
    assert torch.allclose(blurred[..., 1:, 1:], torch.nn.functional.avg_pool2d(sharp, 2, stride=1))
    assert torch.allclose(blurred[..., 0, 0], sharp[..., 0, 0])


def test_the_output_of_the_restorer_is_within_its_limit():
    net = image_unet(3, 10, 32, **SMALL)
    nn.init.constant_(net.head.bias, 1000.0)
    assert net(torch.randn(2, 3, 32, 32)).max().item() == pytest.approx(3.0)
    assert image_unet(3, 10, 32, limit=None, **SMALL)(torch.randn(2, 3, 32, 32)).shape == (2, 3, 32, 32)


def test_attention_begins_as_nothing():
    torch.manual_seed(0)
    net = unet(3, 5, 32, attention=True, **SMALL).eval()
    layer = next(one for one in net.blocks[0].convs if hasattr(one, "gain"))
    x = torch.randn(1, 16, 4, 4)
    assert torch.equal(layer(x), x)
    nn.init.ones_(layer.gain)
    assert not torch.allclose(layer(x), x)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"widths": [8, 9]}, "a doubling halves the channels, and 9 is odd"),
        ({"encoder": "resnet34", "widths": [8, 8]}, "resnet34 has its own"),
        ({"widths": [8, 8, 8, 8, 8, 8]}, "6 stages halve the image, so it needs 64 pixels, not 32"),
        ({"widths": [4, 4], "attention": True}, "self-attention needs 8 channels"),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        unet(3, 5, 32, **options)
