from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bench.errors import MissingError, UsageError
from bench.host.fingerprint import native_precision
from bench.models.darknet import Darknet
from bench.models.speedrun import SpeedrunNet
from bench.spec.formats import NumberFormat
from bench.training.device import Device
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.schedules import constant

HERE = "cuda" if torch.cuda.is_available() else "cpu"
# Significands have 24 (float32), 11 (float16, tf32) or 8 (bfloat16) bits; ten layers may lose six of them.
BOUND = {"fp32": 2**-17, "tf32": 2**-5, "fp16": 2**-5, "pure_fp16": 2**-4, "bf16": 2**-3, "pure_bf16": 2**-2}


def precisions():
    return [name for name in get_args(NumberFormat) if name != "tf32" or HERE == "cuda"]


@pytest.fixture
def device():
    return Device(HERE)


def network(kind):
    torch.manual_seed(0)
    return SpeedrunNet(widths=(8, 16, 16)) if kind == "speedrun" else Darknet(blocks=(1, 1), width=8)


@pytest.mark.parametrize("kind", ["speedrun", "darknet"])
@pytest.mark.parametrize("name", precisions())
def test_it_agrees_with_fp32_and_learns(name, kind, device):
    """Logits within the bound of float32's, relative to their spread; a step of training lowers the loss."""
    images = torch.randn(32, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = (torch.arange(32) % 10).to(device.torch)
    Precision("fp32", device)  # else the reference would be TF32's on a GPU: cuDNN takes it unless told not to
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    exact = network(kind).to(device.torch)(images.to(device.torch))
    precision = Precision(name, device)
    model = precision.prepare(network(kind), torch.channels_last)
    optimizers = Optimizers(model, {"name": "sgd", "lr": 0.05}, {}, constant(), 10, 10)
    placed = images.to(device.torch, precision.inputs, memory_format=torch.channels_last)
    losses = []
    for _ in range(6):
        with precision.autocast():
            logits = model(placed)
        if not losses:
            error = (logits.float() - exact).abs().max() / exact.std()
            assert error < BOUND[name]
        loss = F.cross_entropy(logits.float(), labels)
        losses.append(loss.item())
        precision.backward(loss)
        precision.step(optimizers.all)
        optimizers.zero_grad()
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["pure_bf16", "pure_fp16"])
def test_pure_half_keeps_batch_norm_in_fp32(name, device):
    model = Precision(name, device).prepare(network("speedrun"), torch.channels_last)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert {t.dtype for t in (module.weight, module.bias, module.running_var)} == {torch.float32}
    assert model.head.weight.dtype == Precision(name, device).inputs != torch.float32


@pytest.mark.parametrize("name", ["pure_bf16", "pure_fp16"])
def test_batch_norm_in_half_precision_is_so_throughout_and_learns(name, device):
    precision = Precision(name, device, half_norms=True)
    model = precision.prepare(network("speedrun"), torch.channels_last)
    assert {value.dtype for value in model.state_dict().values() if value.is_floating_point()} == {precision.inputs}
    common = {"name": "muon", "lr": 0.1, "momentum": 0.6}
    vectors = {"name": "sgd", "lr": 0.05}
    groups = {"biases": vectors, "whiten_bias": vectors, "head": vectors}
    optimizers = Optimizers(model, common, groups, constant(), 10, 10)
    images = torch.randn(32, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    placed = images.to(device.torch, precision.inputs, memory_format=torch.channels_last)
    labels, losses = (torch.arange(32) % 10).to(device.torch), []
    for step in range(6):
        optimizers.set_progress(step)
        loss = F.cross_entropy(model(placed).float(), labels)
        losses.append(loss.item())
        precision.backward(loss)
        precision.step(optimizers.all)
        optimizers.zero_grad()
    assert losses[-1] < losses[0]
    muon = next(optimizer for optimizer in optimizers.all if type(optimizer).__name__ == "Muon")
    assert {state["momentum"].dtype for state in muon.state.values()} == {precision.inputs}


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_weights_in_fp32_keep_batch_norm_there(name, device):
    model = Precision(name, device, half_norms=True).prepare(network("speedrun"), torch.channels_last)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_memory_format_reaches_the_filters(device):
    model = Precision("fp32", device).prepare(network("speedrun"), torch.channels_last)
    filters = [module.weight for module in model.groups.modules() if isinstance(module, torch.nn.Conv2d)]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in filters)


@pytest.mark.parametrize(("flag", "expected"), [("amx_bf16", "bf16"), ("avx512_bf16", "bf16"), ("avx512f", "fp32")])
def test_auto_takes_what_the_device_computes_natively(device, monkeypatch, flag, expected):
    native_precision.cache_clear()
    monkeypatch.setattr("bench.host.fingerprint._cpu", lambda: {"cpu_flags": ["avx2", flag]})
    assert native_precision("cpu") == expected
    assert native_precision("cuda") == "fp16"
    assert Precision("auto", device).name == native_precision(HERE)
    native_precision.cache_clear()


def test_reset_forgets_the_loss_scale(device):
    precision = Precision("fp16", device)
    before = precision._scaler.get_scale()
    precision._scaler.scale(torch.ones((), device=device.torch))
    precision._scaler.update(before / 4)
    assert precision._scaler.get_scale() == before / 4
    precision.reset()
    assert precision._scaler.get_scale() == before


@pytest.mark.skipif(HERE == "cuda", reason="this machine has a GPU")
def test_what_needs_cuda_is_refused_without_it():
    with pytest.raises(UsageError, match="tf32 is a format of CUDA"):
        Precision("tf32", Device("cpu"))
    with pytest.raises(MissingError, match=r"--device cuda: .*; use --device cpu"):
        Device("cuda")


def test_a_loss_scaler_steps_on_when_all_that_one_optimiser_trains_has_stopped(device):
    precision = Precision("fp16", device)
    model = precision.prepare(network("speedrun"), torch.channels_last)
    groups = {"whiten_bias": {"name": "adamw", "lr": 0.01, "epochs": 1}}
    optimizers = Optimizers(model, {"name": "sgd", "lr": 0.05}, groups, constant(), 10, 1)
    optimizers.set_progress(1)
    head = model.head.weight.detach().clone()
    images = torch.randn(8, 3, 32, 32, device=device.torch)
    for _ in range(8):  # the first ones may only lower the scale
        with precision.autocast():
            loss = model(images).float().square().sum()
        precision.backward(loss)
        precision.step(optimizers.all)
        optimizers.zero_grad()
    assert not torch.equal(model.head.weight, head)


@pytest.mark.parametrize("decoupled", [False, True])
def test_a_first_step_that_the_loss_scaler_skips_leaves_no_momentum(device, monkeypatch, decoupled):
    """torch's fused kernels would take for one what they find in the memory; here that is no number."""
    monkeypatch.setattr(torch, "empty_like", lambda like, **_: torch.full_like(like, torch.nan))
    precision = Precision("fp16", device)
    model = precision.prepare(nn.Linear(4, 1, bias=False), torch.channels_last)
    common = {"name": "sgd", "lr": 1.0, "momentum": 0.5, "decoupled": decoupled}
    optimizers = Optimizers(model, common, {}, constant(), 10, 10, fused=True)
    before, images = model.weight.detach().clone(), torch.ones(1, 4, device=device.torch)
    for factor in (torch.inf, 1.0, 1.0):
        precision.backward((model(images) * factor).sum())
        precision.step(optimizers.all)
        optimizers.zero_grad()
    assert torch.allclose(model.weight, before - 1 - 1.5)
