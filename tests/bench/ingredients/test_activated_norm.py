"""Batch norm and activation in one: against torch's two layers, in values, gradients and statistics."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bench import models
from bench.ingredients.activated_norm import ActivatedNorm, fuse_norms
from bench.ingredients.ghost_batch_norm import GhostBatchNorm2d
from bench.spec import recipes
from bench.training.activations import KeptActivations
from tests.bench.ingredients.native_layers import by_threads, distance, losses_of_a_training

pytestmark = pytest.mark.usefixtures("cxx")
ACTIVATIONS = {"relu": nn.ReLU(), "leaky": nn.LeakyReLU(0.1), "silu": nn.SiLU(), "gelu": nn.GELU()}
each_activation = pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)
LAST = torch.channels_last


def norm_and_activation(activation: nn.Module, channels: int = 16, **options: object) -> nn.Sequential:
    norm = nn.BatchNorm2d(channels, **options)
    for parameter in norm.parameters():
        nn.init.normal_(parameter, std=2)
    return nn.Sequential(norm, activation)


def fused(net: nn.Module) -> nn.Module:
    fast = copy.deepcopy(net)
    assert fuse_norms(fast) == 1
    return fast


def images(*shape: int, middle: float = 0.0) -> Tensor:
    return (torch.randn(*shape) * 3 + middle).contiguous(memory_format=LAST)


def work(net: nn.Module, x: Tensor) -> list[Tensor]:
    """What comes out, and the gradients of the images and of the parameters for one of what came out."""
    x = x.detach().requires_grad_()
    out = net(x)
    gradient = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    return [out, *torch.autograd.grad(out, [x, *net.parameters()], gradient)]


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.sampled_from([16, 48]), st.integers(1, 20), st.integers(1, 20)).filter(
        lambda shape: shape[0] * shape[2] * shape[3] >= 8
    ),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    middle=st.sampled_from([0.0, 50.0]),
    affine=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_in_fp32_it_is_a_norm_and_an_activation(shape, activation, middle, affine, seed):
    torch.manual_seed(seed)
    net = norm_and_activation(ACTIVATIONS[activation], shape[1], affine=affine)
    x = images(*shape, middle=middle)
    fast_net, exact_net = fused(net), copy.deepcopy(net).double()
    for result, expected in zip(work(fast_net, x), work(exact_net, x.double()), strict=True):
        assert result.shape == expected.shape
        assert result.dtype == torch.float32
        assert distance(result, expected) < 1e-5
    for name, expected in exact_net[0].named_buffers():
        torch.testing.assert_close(fast_net[0].get_buffer(name).to(expected), expected, rtol=1e-5, atol=1e-5)


@each_activation
@pytest.mark.parametrize(("channels", "pixels"), [(64, 15), (256, 7), (256, 3)])
def test_in_bf16_it_errs_less_than_torch_does(activation, channels, pixels):
    torch.manual_seed(0)
    net, x = norm_and_activation(activation, channels), images(20, channels, pixels, pixels).bfloat16()
    exact = work(copy.deepcopy(net).double(), x.double())
    fast_net, usual_net = fused(net), net
    with torch.autocast("cpu", torch.bfloat16):
        fast, usual = work(fast_net, x), work(usual_net, x)
    assert [each.dtype for each in fast] == [torch.bfloat16] * 2 + [torch.float32] * 2
    assert all(each.is_contiguous(memory_format=LAST) for each in fast[:2])
    for result, expected, other in zip(fast, exact, usual, strict=True):
        assert distance(result, expected) < 1.1 * distance(other, expected)


@each_activation
@torch.no_grad()
def test_an_activation_is_torchs_wherever_a_number_may_be(activation):
    net = nn.Sequential(nn.BatchNorm2d(16, eps=0.0), activation).eval()
    values = torch.cat([torch.linspace(-120, 120, 4000), torch.tensor([0.0, 1e-30, -1e-30, 1e30, -1e30, torch.inf])])
    far = torch.tensor([1e34, -1e32, 88.5, -88.5, 1e4, -1e4, torch.nan, 89, -89, 5])
    x = torch.cat([values, far]).view(1, 16, -1, 1).contiguous(memory_format=LAST)
    torch.testing.assert_close(fused(net)(x), net(x), rtol=1e-5, atol=1e-6, equal_nan=True)


def test_what_is_no_number_stays_none():
    torch.manual_seed(0)
    for activation in ACTIVATIONS.values():
        x = images(2, 16, 4, 4)
        x[0, 3, 1, 1] = torch.nan
        out, of_x, *_ = work(fused(norm_and_activation(activation)), x)
        assert out.isnan().any(dim=(0, 2, 3)).nonzero().flatten().tolist() == [3]
        assert of_x.isnan().any(dim=(0, 2, 3)).nonzero().flatten().tolist() == [3]


def test_the_number_of_threads_makes_no_difference():
    torch.manual_seed(0)
    net, x = fused(norm_and_activation(nn.SiLU(), 32)), images(9, 32, 11, 13).bfloat16()
    first, *others = by_threads(lambda: work(net, x))
    for result in others:
        assert all(map(torch.equal, result, first))


def test_only_the_input_is_kept():
    net, x = norm_and_activation(nn.SiLU()).bfloat16(), images(8, 16, 9, 9).bfloat16().requires_grad_()
    net[0].float()
    kept = []
    for each in (net, fused(net)):
        with KeptActivations(each.parameters()) as counted:
            each(x)
        kept.append(counted.total_bytes)
    of_channels = 16 * 4
    assert kept[1] <= x.nbytes + 6 * of_channels < 2 * x.nbytes <= kept[0]


@each_activation
def test_in_evaluation_it_takes_the_running_statistics(activation):
    torch.manual_seed(0)
    net = norm_and_activation(activation)
    for _ in range(3):
        net(images(4, 16, 5, 5, middle=1.0))
    fast, x = fused(net.eval()), images(2, 16, 5, 5)
    before = copy.deepcopy(fast.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(fast(x), net(x), rtol=1e-5, atol=1e-5)
    for result, expected in zip(work(fast, x), work(net, x), strict=True):
        torch.testing.assert_close(result, expected)
    assert all(torch.equal(value, before[name]) for name, value in fast.state_dict().items())


def test_what_is_frozen_gets_no_gradient():
    torch.manual_seed(0)
    net, x = fused(norm_and_activation(nn.SiLU())), images(2, 16, 6, 6)
    norm = net[0]
    expected = work(net, x)
    norm.weight.requires_grad_(False)
    net(x).sum().backward()
    assert norm.weight.grad is None
    assert norm.bias.grad is not None
    norm.requires_grad_(False)
    assert not net(x).requires_grad
    x.requires_grad_()
    gradient = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(torch.autograd.grad(net(x), x, gradient)[0], expected[1])


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.double(),
        lambda x: x.contiguous(),
        lambda x: x[:, :, :, ::2],
    ],
    ids=["another type", "another layout", "with gaps"],
)
def test_other_batches_go_the_usual_way(change):
    torch.manual_seed(0)
    x = change(images(2, 16, 6, 6))
    net = norm_and_activation(nn.SiLU()).to(x.dtype)
    for result, expected in zip(work(fused(net), x), work(net, x), strict=True):
        assert torch.equal(result, expected)


def test_a_single_value_has_no_statistics():
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        fused(norm_and_activation(nn.SiLU()))(images(1, 16, 1, 1))


class TwiceSilu(nn.SiLU):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Backwards(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return self[0](self[1](x))


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.BatchNorm2d(24), nn.SiLU()),
        nn.Sequential(nn.BatchNorm2d(16, track_running_stats=False), nn.SiLU()),
        nn.Sequential(nn.BatchNorm2d(16, momentum=None), nn.SiLU()),
        nn.Sequential(GhostBatchNorm2d(nn.BatchNorm2d(16), 4), nn.SiLU()),
        nn.Sequential(nn.InstanceNorm2d(16), nn.SiLU()),
        nn.Sequential(nn.BatchNorm2d(16), nn.GELU("tanh")),
        nn.Sequential(nn.BatchNorm2d(16), nn.Sigmoid()),
        nn.Sequential(nn.BatchNorm2d(16), TwiceSilu()),
        nn.Sequential(nn.SiLU(), nn.BatchNorm2d(16)),
        Backwards(nn.BatchNorm2d(16), nn.SiLU()),
    ],
)
def test_what_it_cannot_do_is_left_alone(net):
    before = list(net)
    assert fuse_norms(net) == 0
    assert list(net) == before


@pytest.mark.parametrize(
    ("name", "options", "pairs"),
    [
        ("speedrun", {"widths": [16, 16, 32], "activation": "silu"}, 6),
        ("speedrun", {"widths": [16, 16, 32], "convs": 3, "residual": True}, 6),
        ("speedrun", {"widths": [16, 16, 30]}, 4),
        ("speedrun", {"widths": [16, 16, 32], "activation": "celu"}, 0),
        ("darknet", {"blocks": [1, 1], "width": 32}, 7),
    ],
)
def test_a_network_keeps_its_parameters_and_their_names(name, options, pairs):
    net = models.build(name, options, in_channels=3, classes=10, image_size=32)
    before, state = dict(net.named_parameters()), list(net.state_dict())
    assert fuse_norms(net) == pairs
    assert fuse_norms(net) == 0
    assert sum(isinstance(module, ActivatedNorm) for module in net.modules()) == pairs
    after = dict(net.named_parameters())
    assert list(before) == list(after)
    assert all(after[name] is parameter for name, parameter in before.items())
    assert list(net.state_dict()) == state


def test_a_training_is_the_same_but_for_rounding():
    losses = {said: losses_of_a_training(f"fused_activations={said}") for said in ("false", "true")}
    assert losses["true"] == pytest.approx(losses["false"], rel=1e-3)
    assert losses["true"][-1] < losses["true"][0]


def test_inference_folds_norms_and_fuses_none():
    recipe = recipes.load("cifar94_inference", "cpu", ["fused_activations=true"])
    assert recipe.fused_activations is not None
    assert recipe.for_inference().fused_activations is None
