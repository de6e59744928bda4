"""Convs without a pooling in Winograd's form: against torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench import models
from bench.ingredients import winograd_conv
from bench.ingredients.pooled_conv import PooledConv
from bench.ingredients.winograd_conv import WinogradConv, use_winograd_alone
from bench.measures import assembly
from bench.measures.fusion import fold_batch_norms
from bench.profiling.footprint import footprint
from bench.spec import recipes
from tests.bench.ingredients.native_layers import distance, work

pytestmark = pytest.mark.usefixtures("cxx")
LAST = torch.channels_last


def conv(ins: int = 128, outs: int = 128, **options: object) -> nn.Conv2d:
    return nn.Conv2d(ins, outs, **({"kernel_size": 3, "padding": 1, "bias": False} | options)).to(memory_format=LAST)


def sped_up(one: nn.Conv2d) -> nn.Module:
    net = nn.Sequential(copy.deepcopy(one))
    assert use_winograd_alone(net) == 1
    assert isinstance(net[0], WinogradConv)
    return net[0]


@settings(max_examples=40, deadline=None)
@given(
    images=st.integers(1, 5),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    ins=st.sampled_from([8, 24, 64]),
    outs=st.sampled_from([8, 40]),
    bias=st.booleans(),
    channels_last=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_in_fp32_it_is_a_conv(images, height, width, ins, outs, bias, channels_last, seed):
    torch.manual_seed(seed)
    one, x = conv(ins, outs, bias=bias), torch.randn(images, ins, height, width)
    if channels_last:
        x = x.contiguous(memory_format=LAST)
    with pytest.MonkeyPatch.context() as patch:  # convs as small as a test can afford
        patch.setattr(winograd_conv, "LEAST_CHANNELS", 8)
        patch.setattr(winograd_conv, "LEAST_GAIN", 0)
        fast = work(sped_up(one), x)
    assert fast[0].is_contiguous(memory_format=LAST)
    for result, expected in zip(fast, work(one.double(), x.double()), strict=True):
        assert result.shape == expected.shape
        assert distance(result, expected) < 1e-5


def test_in_bf16_it_errs_little_more_than_torch_does():
    torch.manual_seed(0)
    one, x = conv(), torch.randn(40, 128, 7, 7).contiguous(memory_format=LAST).bfloat16()
    fast_one, exact = sped_up(one), work(copy.deepcopy(one).double(), x.double())
    with torch.autocast("cpu", torch.bfloat16):
        fast, usual = work(fast_one, x), work(one, x)
    assert [each.dtype for each in fast] == [torch.bfloat16, torch.bfloat16, torch.float32]
    for result, expected, other in zip(fast, exact, usual, strict=True):
        assert distance(result, expected) < 3 * distance(other, expected)


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


def test_a_recipe_may_have_every_conv_so():
    net = models.build("speedrun", {}, in_channels=3, classes=10, image_size=32)
    before, state = dict(net.named_parameters()), list(net.state_dict())
    facts = assembly.speed_up(recipes.load("cifar94_cpu", "cpu", ["winograd=every"]), net, "cpu")
    assert facts.items() >= {"winograd": 3, "winograd_alone": 2}.items()
    assert sum(isinstance(module, PooledConv) for module in net.modules()) == 3
    assert all(dict(net.named_parameters())[name] is parameter for name, parameter in before.items())
    assert list(net.state_dict()) == state


def test_flops_are_those_that_are_computed():
    whole, fewer = (
        footprint(recipes.load("cifar94_cpu", "cpu", [f"winograd={said}"]), "cpu").forward_flops_per_example
        for said in ("fused", "every")
    )
    # The last conv, of 3×3 pixels, goes the usual way.
    assert whole - fewer == 2 * 256 * 256 * (9 * 7**2 - 16 * 4**2)


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
