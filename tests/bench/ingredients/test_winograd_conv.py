"""Convs without a pooling in Winograd's form: against torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench import models
from bench.ingredients import winograd_conv, winograd_tiles
from bench.ingredients.pooled_conv import PooledConv
from bench.ingredients.winograd_conv import WinogradConv, use_winograd_alone
from bench.ingredients.winograd_tiles import Tiling
from bench.measures import assembly
from bench.measures.fusion import fold_batch_norms
from bench.profiling.footprint import footprint
from bench.spec import recipes
from tests.bench.ingredients.native_layers import by_threads, distance, work

pytestmark = pytest.mark.usefixtures("cxx")
LAST = torch.channels_last


def conv(ins: int = 128, outs: int = 128, **options: object) -> nn.Conv2d:
    return nn.Conv2d(ins, outs, **({"kernel_size": 3, "padding": 1, "bias": False} | options)).to(memory_format=LAST)


def sped_up(one: nn.Conv2d, large: bool = False) -> nn.Module:
    net = nn.Sequential(copy.deepcopy(one))
    assert use_winograd_alone(net, large) == 1
    assert isinstance(net[0], WinogradConv)
    return net[0]


@settings(max_examples=40, deadline=None)
@given(
    images=st.integers(1, 5),
    height=st.integers(1, 17),
    width=st.integers(1, 17),
    ins=st.sampled_from([8, 24, 64]),
    outs=st.sampled_from([8, 40]),
    bias=st.booleans(),
    channels_last=st.booleans(),
    large=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_in_fp32_it_is_a_conv(images, height, width, ins, outs, bias, channels_last, large, seed):
    torch.manual_seed(seed)
    one, x = conv(ins, outs, bias=bias), torch.randn(images, ins, height, width)
    if channels_last:
        x = x.contiguous(memory_format=LAST)
    with pytest.MonkeyPatch.context() as patch:  # convs as small as a test can afford
        patch.setattr(winograd_conv, "LEAST_CHANNELS", 8)
        patch.setattr(winograd_conv, "LEAST_CHANNELS_OF_LARGE", 8)
        patch.setattr(winograd_conv, "LEAST_GAIN", 0)
        patch.setattr(winograd_tiles, "LARGE_GAIN", 0)
        patch.setattr(winograd_tiles, "MANY_TILES", 10)
        fast = work(sped_up(one, large), x)
    assert fast[0].is_contiguous(memory_format=LAST)
    for result, expected in zip(fast, work(one.double(), x.double()), strict=True):
        assert result.shape == expected.shape
        assert distance(result, expected) < 1e-5


@pytest.mark.parametrize(
    ("channels", "pixels", "large", "times"), [(128, 7, False, 3), (128, 7, True, 8), (64, 15, True, 8)]
)
def test_in_bf16_it_errs_little_more_than_torch_does(channels, pixels, large, times):
    torch.manual_seed(0)
    one = conv(channels, channels)
    x = torch.randn(40, channels, pixels, pixels).contiguous(memory_format=LAST).bfloat16()
    fast_one, exact = sped_up(one, large), work(copy.deepcopy(one).double(), x.double())
    with torch.autocast("cpu", torch.bfloat16):
        fast, usual = work(fast_one, x), work(one, x)
    assert [each.dtype for each in fast] == [torch.bfloat16, torch.bfloat16, torch.float32]
    for result, expected, other in zip(fast, exact, usual, strict=True):
        assert distance(result, expected) < times * distance(other, expected)


@pytest.mark.parametrize(
    ("side", "pooled", "alone"),
    [
        (
            2,
            [2, 3, 6, 7],
            [1, 2, 5, 6],
        ),  # at 3×3 pixels, 5×5 and 6×6 both sizes take as many multiplications, or almost
        (4, [4, 5, 8, 9, 11, 13, 15, 27, 31], [3, 4, 7, 8, 11, 13, 15, 31]),
    ],
)
def test_the_tile_that_takes_clearly_fewer_multiplications_is_used(side, pooled, alone):
    for tiling, sizes in ((Tiling.pooled, pooled), (Tiling.whole, alone)):
        for pixels in sizes:
            images = torch.empty(1, 8, pixels, pixels)
            assert (tiling(images, large=True).side, tiling(images).side) == (side, 2), pixels


def test_the_number_of_threads_makes_no_difference_to_the_transforms():
    torch.manual_seed(0)
    images = torch.randn(8, 32, 11, 13).contiguous(memory_format=LAST).bfloat16()
    tiling = Tiling.whole(images, large=True)

    def transforms():
        tiles = tiling.tiles(images)
        of_images, joined, of_products = (torch.empty_like(one) for one in (images, images, tiles))
        tiling.call("transform_images_backward", 8, 32, tiles, of_images)
        tiling.call("join_products", 8, 32, tiles, joined)
        tiling.call("join_products_backward", 8, 32, images, of_products)
        return tiles, of_images, joined, of_products

    first, *others = by_threads(transforms)
    for result in others:
        assert all(map(torch.equal, result, first))


def test_what_is_frozen_gets_no_gradient():
    torch.manual_seed(0)
    one, x = sped_up(conv()), torch.randn(2, 128, 6, 6, requires_grad=True)
    of_images, of_weight = torch.autograd.grad(one(x).sum(), [x, one.weight])
    torch.testing.assert_close(torch.autograd.grad(one(x.detach()).sum(), one.weight)[0], of_weight)
    one.requires_grad_(False)
    torch.testing.assert_close(torch.autograd.grad(one(x).sum(), x)[0], of_images)


@pytest.mark.parametrize(("pixels", "dtype"), [(3, torch.float32), (7, torch.float64)])
def test_other_images_go_the_usual_way(pixels, dtype):
    torch.manual_seed(0)
    one, x = conv().to(dtype), torch.randn(2, 128, pixels, pixels, dtype=dtype)
    assert torch.equal(sped_up(one)(x), one(x))


@pytest.mark.parametrize(
    "one",
    [conv(64, 128), conv(128, 64), conv(stride=2), conv(groups=2), conv(kernel_size=1, padding=0), conv(dilation=2)],
)
def test_what_does_not_pay_is_left_alone(one):
    net = nn.Sequential(one)
    assert use_winograd_alone(net) == 0
    assert net[0] is one


@torch.no_grad()
def test_few_channels_need_large_tiles_and_images_that_they_suit():
    torch.manual_seed(0)
    one, net = conv(64, 128), nn.Sequential(conv(56, 128))
    assert use_winograd_alone(net, large=True) == 0
    for pixels, is_usual in ((7, False), (6, True)):
        x = torch.randn(2, 64, pixels, pixels)
        assert torch.equal(sped_up(one, large=True)(x), one(x)) == is_usual


@pytest.mark.parametrize(("value", "alone"), [("every", 2), ("large", 3)])
def test_a_recipe_may_have_every_conv_so(value, alone):
    net = models.build("speedrun", {}, in_channels=3, classes=10, image_size=32)
    before, state = dict(net.named_parameters()), list(net.state_dict())
    facts = assembly.speed_up(recipes.load("cifar94_cpu", "cpu", [f"winograd={value}"]), net, "cpu")
    assert facts.items() >= {"winograd": 3, "winograd_alone": alone}.items()
    assert facts.get("winograd_large") == (6 if value == "large" else None)
    assert sum(isinstance(module, PooledConv) for module in net.modules()) == 3
    assert all(dict(net.named_parameters())[name] is parameter for name, parameter in before.items())
    assert list(net.state_dict()) == state


def test_flops_are_those_that_are_computed():
    fused, every, large = (
        footprint(recipes.load("cifar94_cpu", "cpu", [f"winograd={said}"]), "cpu").forward_flops_per_example
        for said in ("fused", "every", "large")
    )
    # The last conv, of 3×3 pixels, goes the usual way.
    assert fused - every == 2 * 256 * 256 * (9 * 7**2 - 16 * 4**2)
    # Now it does not, and neither does the one of 15×15 pixels.
    saved = 64 * 64 * (9 * 15**2 - 36 * 4**2) + 256 * 256 * (16 * 4**2 - 36 * 2**2 + 9 * 3**2 - 36)
    saved += 64 * 256 * (16 * 7**2 - 36 * 4**2) + 24 * 64 * (16 * 15**2 - 36 * 8**2)
    assert every - large == 2 * saved


@torch.no_grad()
def test_batch_norm_is_folded_into_it():
    torch.manual_seed(0)
    net = nn.Sequential(conv(bias=True), nn.BatchNorm2d(128)).eval()
    nn.init.normal_(net[1].running_mean)
    x = torch.randn(2, 128, 7, 7)
    expected = net(x)
    use_winograd_alone(net)
    fused = fold_batch_norms(net)
    assert (fused.folded, fused.left) == (1, 0)
    torch.testing.assert_close(fused.model(x), expected, rtol=1e-4, atol=1e-4)
