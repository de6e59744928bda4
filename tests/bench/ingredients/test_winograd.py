from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench import models
from bench.ingredients import winograd_tiles
from bench.ingredients.pooled_conv import PooledConv, use_winograd
from bench.ingredients.winograd_tiles import Tiling
from bench.measures.fusion import fold_batch_norms
from bench.profiling.footprint import footprint
from bench.spec import recipes
from tests.bench.ingredients.native_layers import distance, losses_of_a_training, work

pytestmark = pytest.mark.usefixtures("cxx")


def conv_and_pool(ins: int = 8, outs: int = 8, **options: object) -> nn.Sequential:
    settings = {"kernel_size": 3, "padding": 1, "bias": False} | options
    return nn.Sequential(nn.Conv2d(ins, outs, **settings), nn.MaxPool2d(2)).to(memory_format=torch.channels_last)


def sped_up(net: nn.Module, large: bool = False) -> nn.Module:
    fast = copy.deepcopy(net)
    assert use_winograd(fast, large=large) == 1
    return fast


each_side = pytest.mark.parametrize("large", [False, True])


@settings(max_examples=40, deadline=None)
@given(
    images=st.integers(1, 5),
    height=st.integers(2, 17),
    width=st.integers(2, 17),
    ins=st.sampled_from([8, 24, 64]),
    outs=st.sampled_from([8, 40]),
    bias=st.booleans(),
    channels_last=st.booleans(),
    large=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_in_fp32_it_is_a_conv_and_a_max_pooling(images, height, width, ins, outs, bias, channels_last, large, seed):
    torch.manual_seed(seed)
    net = conv_and_pool(ins, outs, bias=bias)
    x = torch.randn(images, ins, height, width)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd_tiles, "LARGE_GAIN", 0)  # even where they save nothing
        patch.setattr(winograd_tiles, "MANY_TILES", 10)  # so that some have a row of zeros more
        fast = work(sped_up(net, large), x)
    exact = work(net.double(), x.double())
    assert fast[0].is_contiguous(memory_format=torch.channels_last)
    for result, expected in zip(fast, exact, strict=True):
        assert result.shape == expected.shape
        assert distance(result, expected) < 1e-5


@pytest.mark.parametrize(
    ("ins", "outs", "pixels", "large", "times"),
    [(24, 64, 31, False, 3), (64, 256, 15, False, 3), (256, 256, 7, False, 3), (64, 256, 15, True, 8)],
)
def test_in_bf16_it_errs_little_more_than_torch_does(ins, outs, pixels, large, times):
    torch.manual_seed(0)
    net, x = conv_and_pool(ins, outs), torch.randn(20, ins, pixels, pixels)
    fast_net, exact = sped_up(net, large), work(copy.deepcopy(net).double(), x.bfloat16().double())
    with torch.autocast("cpu", torch.bfloat16):
        fast, usual = (work(each, x.bfloat16()) for each in (fast_net, net))
    assert fast[0].dtype == torch.bfloat16
    assert fast[2].dtype == torch.float32  # as the weights
    for result, expected, other in zip(fast, exact, usual, strict=True):
        assert distance(result, expected) < times * distance(other, expected)


def test_it_makes_no_difference_how_many_images_are_taken_at_once(monkeypatch):
    torch.manual_seed(0)
    net, x = sped_up(conv_and_pool(16, 24)), torch.randn(7, 16, 9, 6)
    together = work(net, x)
    monkeypatch.setattr(
        winograd_tiles, "CHUNK_BYTES", 16 * 4 * 3 * 24 * 4 * 3
    )  # three images, so that the last chunk is less
    assert list(Tiling.pooled(x).chunks(x, 24)) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    for result, expected in zip(work(net, x), together, strict=True):
        torch.testing.assert_close(result, expected)


@each_side
@pytest.mark.parametrize("type_", [torch.float32, torch.bfloat16])
def test_what_is_no_number_stays_none(type_, large):
    torch.manual_seed(0)
    net, x = conv_and_pool().to(type_), torch.randn(1, 8, 8, 8).to(type_)
    x[0, 0, 3, 3] = torch.nan
    fast = sped_up(net, large)(x)
    assert fast.isnan().any()
    assert (fast.isnan() | ~net(x).isnan()).all()  # a tile has it as a whole, and a conv in nine outputs


def test_what_is_frozen_gets_no_gradient():
    torch.manual_seed(0)
    net, x = sped_up(conv_and_pool()), torch.randn(2, 8, 6, 6, requires_grad=True)
    out = net(x)
    alone = torch.autograd.grad(out.sum(), [x])
    net.requires_grad_(False)
    out = net(x)
    out.sum().backward()
    assert net[0].weight.grad is None
    torch.testing.assert_close(x.grad, alone[0])


def test_a_type_that_the_transforms_do_not_know_goes_the_usual_way():
    net = conv_and_pool().double()
    fast = sped_up(net)
    x = torch.randn(2, 8, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(fast(x), net(x))


@pytest.mark.parametrize(
    ("ins", "outs", "options", "pool"),
    [
        (3, 8, {}, nn.MaxPool2d(2)),
        (8, 12, {}, nn.MaxPool2d(2)),
        (8, 8, {"kernel_size": 5, "padding": 2}, nn.MaxPool2d(2)),
        (8, 8, {"padding": 0}, nn.MaxPool2d(2)),
        (8, 8, {"stride": 2}, nn.MaxPool2d(2)),
        (8, 8, {"dilation": 2}, nn.MaxPool2d(2)),
        (8, 8, {"groups": 2}, nn.MaxPool2d(2)),
        (8, 8, {"padding_mode": "reflect"}, nn.MaxPool2d(2)),
        (8, 8, {}, nn.MaxPool2d(3)),
        (8, 8, {}, nn.MaxPool2d(2, stride=1)),
        (8, 8, {}, nn.MaxPool2d(2, padding=1)),
        (8, 8, {}, nn.MaxPool2d(2, ceil_mode=True)),
        (8, 8, {}, nn.MaxPool2d(2, return_indices=True)),
        (8, 8, {}, nn.AvgPool2d(2)),
    ],
)
def test_what_it_cannot_do_is_left_alone(ins, outs, options, pool):
    net = nn.Sequential(conv_and_pool(ins, outs, **options)[0], pool)
    assert use_winograd(net) == 0
    assert type(net[0]) is nn.Conv2d
    assert net[1] is pool


def test_a_network_keeps_its_parameters_and_their_names():
    net = models.build("speedrun", {}, in_channels=3, classes=10, image_size=32)
    before, state = dict(net.named_parameters()), list(net.state_dict())
    assert use_winograd(net) == 3
    assert use_winograd(net) == 0
    after = dict(net.named_parameters())
    assert list(before) == list(after)
    assert all(after[name] is parameter for name, parameter in before.items())
    assert list(net.state_dict()) == state


def test_a_training_is_the_same_but_for_rounding():
    losses = {said: losses_of_a_training(f"winograd={said}") for said in ("false", "true")}
    assert losses["true"] == pytest.approx(losses["false"], rel=1e-3)
    assert losses["true"][-1] < losses["true"][0]


@each_side
@torch.no_grad()
def test_batch_norm_is_folded_into_it(large):
    torch.manual_seed(0)
    net = models.build(
        "speedrun", {"widths": [8, 16, 16], "logit_scale": 1.0}, in_channels=3, classes=10, image_size=32
    )
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.normal_(module.bias, std=0.3)
    net.eval()
    x = torch.randn(3, 3, 32, 32)
    expected = net(x)
    use_winograd(net, large=large)
    fused = fold_batch_norms(net)
    assert (fused.folded, fused.left) == (6, 0)
    pooled = [module for module in fused.model.modules() if isinstance(module, PooledConv)]
    assert len(pooled) == 3
    for settled in (False, True):
        if settled:
            for module in pooled:
                module.settle(torch.float32)
        assert (fused.model(x) - expected).abs().max() < 1e-4 * expected.abs().max()


@torch.no_grad()
def test_a_falling_norm_is_not_folded_into_what_has_been_pooled():
    net = nn.Sequential(conv_and_pool()[0], nn.MaxPool2d(2), nn.BatchNorm2d(8)).eval()
    net[2].weight[3] = -1
    use_winograd(net)
    fused = fold_batch_norms(net)
    assert (fused.folded, fused.left) == (0, 1)


def test_flops_are_those_that_are_computed():
    whole, fewer = (
        footprint(recipes.load("cifar94_cpu", "cpu", [f"winograd={said}"]), "cpu").forward_flops_per_example
        for said in ("false", "true")
    )
    # Of the three convs before a pooling: 15², 7² and 3² tiles of 16 products, for 31², 15² and 7² pixels of 9.
    saved = sum(
        2 * ins * outs * (9 * pixels**2 - 16 * (pixels // 2) ** 2)
        for ins, outs, pixels in ((24, 64, 31), (64, 256, 15), (256, 256, 7))
    )
    assert whole - fewer == saved


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_torch_and_the_transforms_share_their_threads():
    """In a process of its own, because other libraries that tests import bring an OpenMP of their own."""
    code = (
        "from bench.host import native; from bench.ingredients.winograd_tiles import SOURCE; native.load(SOURCE); "
        "maps = open('/proc/self/maps').read().splitlines(); "
        "print(len({line.split()[-1] for line in maps if 'libgomp' in line}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"
