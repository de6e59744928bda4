"""Convs of few channels in one pass: with whole numbers and tiles of 2×2 outputs, every digit is torch's."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.host import native
from bench.ingredients import narrow_conv
from bench.ingredients.pooled_conv import use_winograd
from bench.ingredients.winograd_conv import use_winograd_alone
from bench.ingredients.winograd_tiles import TiledConv, transformed, transformed_backward
from bench.measures import assembly
from bench.profiling.operations import Operations, WithoutProducts
from bench.spec import recipes
from tests.bench.ingredients.native_layers import by_threads, distance

# Of what is computed with tiles of 4×4 outputs; measured are 0.016 at most. Torch's own convs in bf16 err by 0.002.
ERROR = 0.03
KINDS = ("small", "large", "alone")
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


def fused(net: nn.Sequential, large: bool = False) -> nn.Sequential:
    fast = copy.deepcopy(net)
    assert use_winograd(fast, fused=True, large=large) == 1
    assert (fast[0].in_one_pass, fast[0].large) == (True, large)
    return fast


def of_kind(kind: str) -> nn.Sequential:
    """With pooling and tiles of 2×2 or 4×4 outputs, or alone, with tiles of 4×4 outputs."""
    if kind != "alone":
        return fused(conv(), large=kind == "large")
    net = conv(64)[:1]
    assert use_winograd_alone(net, large=True) == 1
    assert net[0].in_one_pass
    return net


def in_steps(fast: nn.Sequential) -> nn.Sequential:
    slow = copy.deepcopy(fast)
    slow[0].in_one_pass = False
    return slow


def images_for(net: nn.Sequential, *shape: int) -> Tensor:
    count, height, width = shape
    return whole(count, net[0].in_channels, height, width).contiguous(memory_format=LAST).bfloat16()


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


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(1, 4),
    height=st.integers(2, 19),
    width=st.integers(2, 19),
    ins=st.sampled_from([8, 24, 40, 64]),
    outs=st.sampled_from([16, 32, 48, 64]),
    seed=st.integers(0, 1000),
)
def test_with_tiles_of_4x4_outputs_it_errs_by_a_few_roundings(images, height, width, ins, outs, seed):
    torch.manual_seed(seed)
    weight = torch.randn(outs, ins, 3, 3)
    x = torch.randn(images, ins, height, width).bfloat16().contiguous(memory_format=LAST)
    filters, exact = transformed(weight, torch.bfloat16, 4), F.conv2d(x.double(), weight.double(), padding=1)
    for pooled in (False, True):
        if pooled:
            out, places = narrow_conv.outputs(x, filters)
            expected, chosen = F.max_pool2d(exact, 2), window_index(places, width)
            assert distance(exact.flatten(2).gather(2, chosen.flatten(2)).view_as(expected), expected) < ERROR
            gradient = torch.randn(out.shape).bfloat16()
            found = narrow_conv.gradients(x, filters, gradient, places, (True, True))
            of_exact = F.max_unpool2d(last_to_second(gradient).double(), chosen, 2, output_size=(height, width))
        else:
            out, expected = narrow_conv.alone(x, filters), exact
            gradient = torch.randn(out.shape).bfloat16()
            found = narrow_conv.alone_gradients(x, filters, gradient, (True, True))
            of_exact = last_to_second(gradient).double()
        of_images = torch.nn.grad.conv2d_input(x.shape, weight.double(), of_exact, padding=1)
        of_weight = torch.nn.grad.conv2d_weight(x.double(), weight.shape, of_exact, padding=1)
        assert distance(last_to_second(out), expected) < ERROR
        assert distance(found[0], of_images) < ERROR
        assert distance(transformed_backward(found[1], 4), of_weight) < ERROR


def last_to_second(image: Tensor) -> Tensor:
    return image.permute(0, 3, 1, 2)


def window_index(places: Tensor, width: int) -> Tensor:
    """Where the largest of each window is in an image of a width, as torch's pooling says it."""
    rows, columns = torch.meshgrid(*map(torch.arange, places.shape[1:3]), indexing="ij")
    place = last_to_second(places).long()
    return (2 * rows + place // 2) * width + 2 * columns + place % 2


@pytest.mark.parametrize("kind", KINDS)
def test_it_errs_less_than_in_three_steps(kind):
    torch.manual_seed(0)
    net = of_kind(kind)
    nn.init.normal_(net[0].weight)
    x = torch.randn(20, net[0].in_channels, 15, 15).contiguous(memory_format=LAST).bfloat16()
    usual = conv(net[0].in_channels)[: 1 if kind == "alone" else 2]
    usual.load_state_dict(net.state_dict())
    exact = work(usual.double(), x.double())
    for result, other, expected in zip(work(net, x), work(in_steps(net), x), exact, strict=True):
        errors = [distance(each, expected) for each in (result, other)]
        assert errors[0] < 1.1 * errors[1]
        assert 0 < errors[1] < 0.3


def test_any_number_of_threads_will_do():
    torch.manual_seed(0)
    net, x = conv(), whole(2, 24, 13, 13).contiguous(memory_format=LAST)
    exact = work(net, x)[2]
    for of_weight in by_threads(lambda: work(fused(net), x.bfloat16())[2]):
        assert torch.equal(of_weight, exact)


@pytest.mark.parametrize("kind", ["large", "alone"])
def test_threads_change_no_output(kind):
    torch.manual_seed(0)
    net = of_kind(kind)
    x = images_for(net, 5, 13, 14)
    first, *others = by_threads(lambda: work(net, x))
    for out, of_images, of_weight in others:
        assert torch.equal(out, first[0])
        assert torch.equal(of_images, first[1])
        torch.testing.assert_close(of_weight, first[2], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_nan_stays_in_its_image_and_near_its_place(kind):
    torch.manual_seed(0)
    net = of_kind(kind)
    x = images_for(net, 3, 15, 15)
    clean = work(net, x)
    x[1, 0, 8, 8] = torch.nan
    out, of_images, of_weight = work(net, x)
    at = 8 if kind == "alone" else 4
    assert out[1, :, at, at].isnan().all()
    for found, usual in ((out, clean[0]), (of_images, clean[1])):
        assert torch.equal(found[[0, 2]], usual[[0, 2]])
        assert torch.equal(found[1, :, :2, :2], usual[1, :, :2, :2])
    assert of_weight[:, 0].isnan().all()
    assert not of_weight[:, 1:].isnan().any()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_frozen_gets_no_gradient(kind):
    torch.manual_seed(0)
    net = of_kind(kind)
    x = images_for(net, 2, 8, 8).requires_grad_()
    of_images, of_weight = torch.autograd.grad(net(x).sum(), [x, net[0].weight])
    net.requires_grad_(False)
    assert torch.equal(torch.autograd.grad(net(x).sum(), x)[0], of_images)
    net.requires_grad_(True)
    assert torch.equal(torch.autograd.grad(net(x.detach()).sum(), net[0].weight)[0], of_weight)


@pytest.mark.parametrize(
    ("kind", "of_tile", "tiles"),
    [("small", 16 * 24 * 64, 5 * 4), ("large", 36 * 24 * 64, 3 * 2), ("alone", 36 * 64 * 64, 9)],
)
def test_its_flops_are_those_of_the_three_steps(kind, of_tile, tiles):
    torch.manual_seed(0)
    net, counts = of_kind(kind), []
    x = images_for(net, 3, 11, 9)
    for each in (in_steps(net), net):
        with FlopCounterMode(display=False) as flops, Operations() as operations:
            each(x.requires_grad_()).sum().backward()
        products = [product for operation in operations.each for product in operation.products]
        counts.append((flops.get_total_flops(), sum(product.flops for product in products), len(products)))
    of_one = 2 * 3 * of_tile * tiles
    assert counts == [(3 * of_one, 3 * of_one, 3)] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_flops_of_a_gradient_that_is_not_wanted_are_not_counted(kind):
    net = of_kind(kind)
    with FlopCounterMode(display=False) as flops:
        net(images_for(net, 1, 8, 8)).sum().backward()
    tiles, places = (16, 16) if kind == "small" else (4, 36)
    assert flops.get_total_flops() == 2 * 2 * tiles * places * net[0].in_channels * 64


@pytest.mark.parametrize(("kind", "side"), [("small", 4), ("large", 4), ("alone", 8)])
def test_without_products_it_has_their_shapes(kind, side):
    net = of_kind(kind)
    x = images_for(net, 2, 8, 8).requires_grad_()
    with WithoutProducts():
        out = net(x)
        out.sum().backward()
    assert out.shape == (2, 64, side, side)
    assert not out.any()
    assert (x.grad.shape, net[0].weight.grad.shape) == (x.shape, net[0].weight.shape)


@pytest.mark.parametrize(("ins", "outs"), [(24, 80), (72, 64), (24, 24)])
def test_other_convs_go_in_steps(ins, outs):
    net = nn.Sequential(nn.Conv2d(ins, outs, 3, padding=1), nn.MaxPool2d(2))
    assert use_winograd(net, fused=True) == 1
    assert isinstance(net[0], TiledConv)
    assert not net[0].in_one_pass


@pytest.mark.parametrize("kind", KINDS)
def test_other_types_go_in_steps(kind):
    torch.manual_seed(0)
    net = of_kind(kind)
    x = torch.randn(2, net[0].in_channels, 8, 8)
    assert torch.equal(net(x), in_steps(net)(x))


def test_a_conv_alone_refuses_filters_for_small_tiles():
    images = torch.zeros(1, 8, 4, 4, dtype=torch.bfloat16).contiguous(memory_format=LAST)
    with pytest.raises(ValueError, match="tiles of 4×4"):
        narrow_conv.alone(images, torch.zeros(16, 16, 8, dtype=torch.bfloat16))


def test_a_record_says_how_many_are_fused():
    recipe = recipes.load("cifar94_cpu", "cpu", ["winograd=fused", "fused_activations=null"])
    net = nn.Sequential(conv(), conv(64, 72))
    assert assembly.speed_up(recipe, net, "cpu") == {"winograd": 2, "winograd_fused": 1}
