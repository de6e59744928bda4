"""Convs of few channels in one pass: with whole numbers, every digit is torch's."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.host import native
from bench.ingredients import narrow_conv
from bench.ingredients.pooled_conv import use_winograd
from bench.ingredients.winograd_tiles import TiledConv
from bench.measures import assembly
from bench.profiling.operations import Operations, WithoutProducts
from bench.spec import recipes

LAST = torch.channels_last


@pytest.fixture(scope="module", autouse=True)
def _fast_here(cxx):
    if not native.load(narrow_conv._SOURCE).is_fast():
        pytest.skip("no AVX512-BF16")


def whole(*shape: int) -> Tensor:
    return torch.randint(-2, 3, shape).float()


def conv(ins: int = 24, outs: int = 64) -> nn.Sequential:
    """Its filters are such that their transforms are whole numbers, which bf16 represents."""
    net = nn.Sequential(nn.Conv2d(ins, outs, 3, padding=1, bias=False), nn.MaxPool2d(2))
    with torch.no_grad():
        net[0].weight.copy_(4 * whole(outs, ins, 3, 3))
    return net.to(memory_format=LAST)


def fused(net: nn.Sequential) -> nn.Sequential:
    fast = copy.deepcopy(net)
    assert use_winograd(fast, fused=True) == 1
    assert fast[0].in_one_pass
    return fast


def in_steps(net: nn.Sequential) -> nn.Sequential:
    slow = fused(net)
    slow[0].in_one_pass = False
    return slow


def work(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What comes out, and the gradients of the images and the weights for one of what came out."""
    x = x.detach().requires_grad_()
    out = net(x)
    torch.manual_seed(1)
    return out.detach(), *torch.autograd.grad(out, [x, net[0].weight], whole(*out.shape).to(out.dtype))


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(1, 4),
    height=st.integers(2, 33),
    width=st.integers(2, 21),
    ins=st.sampled_from([8, 24, 40, 64]),
    outs=st.sampled_from([16, 32, 48, 64]),
    seed=st.integers(0, 1000),
)
def test_it_is_a_conv_and_a_max_pooling(images, height, width, ins, outs, seed):
    torch.manual_seed(seed)
    net, x = conv(ins, outs), whole(images, ins, height, width).contiguous(memory_format=LAST)
    out, of_images, of_weight = work(fused(net), x.bfloat16())
    expected = work(net.double(), x.double())
    assert torch.equal(out, expected[0].bfloat16())
    assert torch.equal(of_images, expected[1].bfloat16())
    assert torch.equal(of_weight, expected[2].float())
    assert out.is_contiguous(memory_format=LAST)
    assert of_images.is_contiguous(memory_format=LAST)


def test_it_errs_less_than_in_three_steps():
    torch.manual_seed(0)
    net, x = conv(), torch.randn(20, 24, 15, 15).contiguous(memory_format=LAST).bfloat16()
    nn.init.normal_(net[0].weight)
    exact = work(copy.deepcopy(net).double(), x.double())
    for result, other, expected in zip(work(fused(net), x), work(in_steps(net), x), exact, strict=True):
        errors = [float((each.double() - expected).norm()) for each in (result, other)]
        assert errors[0] < 1.1 * errors[1]
        assert 0 < errors[1] < 0.3 * float(expected.norm())


@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_threads_will_do(count):
    torch.manual_seed(0)
    net, x = conv(), whole(2, 24, 13, 13).contiguous(memory_format=LAST)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(count)
        of_weight = work(fused(net), x.bfloat16())[2]
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(of_weight, work(net, x)[2])


def test_what_is_frozen_gets_no_gradient():
    torch.manual_seed(0)
    net, x = fused(conv()), whole(2, 24, 6, 6).bfloat16().requires_grad_()
    of_images, of_weight = torch.autograd.grad(net(x).sum(), [x, net[0].weight])
    net.requires_grad_(False)
    assert torch.equal(torch.autograd.grad(net(x).sum(), x)[0], of_images)
    net.requires_grad_(True)
    assert torch.equal(torch.autograd.grad(net(x.detach()).sum(), net[0].weight)[0], of_weight)


def test_its_flops_are_those_of_the_three_steps():
    torch.manual_seed(0)
    net, x, counts = conv(), whole(3, 24, 11, 9).bfloat16(), []
    for each in (in_steps(net), fused(net)):
        with FlopCounterMode(display=False) as flops, Operations() as operations:
            each(x.requires_grad_()).sum().backward()
        products = [product for operation in operations.each for product in operation.products]
        counts.append((flops.get_total_flops(), sum(product.flops for product in products), len(products)))
    of_one = 2 * 3 * 5 * 4 * 16 * 24 * 64
    assert counts == [(3 * of_one, 3 * of_one, 3)] * 2


def test_without_products_it_has_their_shapes():
    x = whole(2, 24, 6, 6).bfloat16().requires_grad_()
    net = fused(conv())
    with WithoutProducts():
        out = net(x)
        out.sum().backward()
    assert out.shape == (2, 64, 3, 3)
    assert not out.any()
    assert (x.grad.shape, net[0].weight.grad.shape) == (x.shape, net[0].weight.shape)


@pytest.mark.parametrize(("ins", "outs"), [(24, 80), (72, 64), (24, 24)])
def test_other_convs_go_in_steps(ins, outs):
    net = nn.Sequential(nn.Conv2d(ins, outs, 3, padding=1), nn.MaxPool2d(2))
    assert use_winograd(net, fused=True) == 1
    assert isinstance(net[0], TiledConv)
    assert not net[0].in_one_pass


def test_other_types_go_as_without_it():
    torch.manual_seed(0)
    net, x = conv(), torch.randn(2, 24, 6, 6)
    assert torch.equal(fused(net)(x), in_steps(net)(x))
    torch.testing.assert_close(fused(net)(x), net(x), rtol=1e-4, atol=1e-3)


def test_a_record_says_how_many_are_fused():
    recipe = recipes.load("cifar94_cpu", "cpu", ["winograd=fused"])
    net = nn.Sequential(conv(), conv(64, 72))
    assert assembly.speed_up(recipe, net, "cpu") == {"winograd": 2, "winograd_fused": 1}
