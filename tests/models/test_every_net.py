"""What holds for each net, here in a small size of it, on real images: it learns, all of it, in every number format."""

import os
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bench import models
from bench.spec.formats import NumberFormat
from bench.training.compiled import compiled
from bench.training.device import Device
from bench.training.precision import Precision

HERE = "cuda" if torch.cuda.is_available() else "cpu"
FORMATS = [name for name in get_args(NumberFormat) if name != "tf32" or HERE == "cuda"]
# The root mean square error of the logits against float32's, in their standard deviations. Significands have 24, 11
# (float16, tf32) or 8 (bfloat16) bits, and some twenty layers of rounding lose up to five of them. float32 in two
# memory layouts may lose more where a batch norm divides by a small variance; 11 bits would lose far more.
BOUND = {"fp32": 2**-12, "tf32": 2**-6, "fp16": 2**-6, "pure_fp16": 2**-6, "bf16": 2**-3, "pure_bf16": 2**-3}

SMALL = {
    "darknet": {"blocks": [1, 1, 1], "width": 8},
    "darknet, wide and grouped": {"blocks": [1, 1], "width": 8, "inner_ratio": 2, "kernel_sizes": [3, 3], "groups": 2},
    "darknet, pre-activation": {"blocks": [1, 1], "width": 8, "order": "bn-act-conv", "activation": "silu"},
    "darknet, dense": {"blocks": [2, 1], "width": 8, "dense": True, "padding": "reflect", "order": "conv-act-bn"},
    "darknet, without norms": {"blocks": [1, 1], "width": 8, "norm": "none", "activation": "selu", "bias": True},
    "wide_resnet": {"depth": 10, "widen": 1},
    "wide_resnet, bottleneck": {"depth": 10, "widen": 2, "block": "B(1,3,1)", "groups": 2, "dropout": 0.1},
    "wrn_22": {"widen": 1},
    "resnet9": {"widths": [8, 16, 16, 32]},
    "speedrun": {"widths": [8, 16, 16], "logit_scale": 1.0},
    "speedrun, for 96 %": {"widths": [8, 16, 16], "convs": 3, "residual": True, "norm_momentum": 0.1},
    "speedrun_pairs": {"widths": [8, 16, 24], "pair_widths": [8, 12, 16], "kernels": [3, 3, 1], "logit_scale": 1.0},
    "mnist_plain": {},
    "mnist_resnetish": {},
    "mnist_dense": {},
    "mnist_resnetish, the lesson's": {"order": "conv-act-bn", "he_normal": True},
    "cifar_resnet": {"depth": 8, "width": 8},
    "cifar_resnet, plain": {"depth": 14, "width": 8, "skips": False},
    "encoder": {"widths": [8, 16, 16]},
    "torchvision:resnet18": {"small_stem": True},
}


def test_no_net_is_forgotten():
    classifiers = models.MODELS.keys() - models.OF_TASKS.keys()
    families = {name.partition(":")[0] for name in classifiers} - {"counting_rnn"}  # which reads words
    assert families == {title.partition(",")[0].partition(":")[0] for title in SMALL}


@pytest.fixture(scope="module")
def batches(real_data_dir):
    """24 training images and labels of each data set, normalised by their own statistics; CIFAR-10's middles only."""
    made = {}
    for name in ("cifar10", "mnist"):
        with np.load(real_data_dir / name / f"{name}.npz") as data:
            images = torch.from_numpy(data["train_x"][:24].copy()).float()
            labels = torch.from_numpy(data["train_y"][:24].astype(np.int64))
        if name == "cifar10":
            images = images[:, :, 8:24, 8:24]
        made[name] = ((images - images.mean()) / images.std()).to(HERE), labels.to(HERE)
    return made


@pytest.fixture(params=SMALL)
def case(request, batches):
    """A way to make the net, and its batch."""
    return case_of(request.param, SMALL[request.param], batches)


def case_of(title, options, batches):
    name, images_and_labels = title.partition(",")[0], batches["cifar10"]
    if name.startswith("mnist"):
        images_and_labels = batches["mnist"]
    images = images_and_labels[0]

    def make():
        torch.manual_seed(0)
        channels, pixels = images.shape[1], images.shape[-1]
        net = models.build(name, options, in_channels=channels, classes=10, image_size=pixels).to(HERE)
        if hasattr(net, "init_from_data"):
            net.init_from_data(images)
        return net

    return make, *images_and_labels


def test_its_loss_falls_and_gradients_reach_every_trainable_parameter(case):
    make, images, labels = case
    net = make()
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.05, momentum=0.9)
    losses = []
    for _ in range(5):
        loss = F.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        without = [name for name, p in net.named_parameters() if p.requires_grad and not p.grad.abs().sum() > 0]
        assert not without
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.98 * losses[0]


def test_its_outputs_are_finite_in_every_format_and_agree_with_fp32(case):
    make, images, _ = case
    Precision("fp32", Device(HERE))  # else the reference would be TF32's on a GPU: cuDNN takes it unless told not to
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    exact = make().train()(images)
    for name in FORMATS:
        precision = Precision(name, Device(HERE))
        net = precision.prepare(make(), torch.channels_last)
        torch.manual_seed(0)  # for dropout
        placed = images.to(precision.inputs, memory_format=torch.channels_last)
        with torch.no_grad(), precision.autocast():
            logits = net(placed).float()
        assert logits.shape == (24, 10)
        assert torch.isfinite(logits).all(), name
        if not any(isinstance(module, torch.nn.Dropout) for module in net.modules()):
            error = (logits - exact).square().mean().sqrt() / exact.std()
            assert error < BOUND[name], (name, error)


# Compiling takes ten seconds a net and format on two cores. So by default there is one net, whose gradients were once
# wrong, in the shallowest form that showed it.
HALVES = [name for name in FORMATS if name.endswith("16")]
long = pytest.mark.skipif(not os.environ.get("BENCH_LONG_TESTS"), reason="takes minutes; set BENCH_LONG_TESTS=1")
COMPILED = [pytest.param("speedrun", {"widths": [4]}, "pure_bf16", id="speedrun, shallow")]
COMPILED += [
    pytest.param(title, options, name, marks=[pytest.mark.slow, long], id=f"{title}, {name}")
    for title, options in SMALL.items()
    for name in HALVES
]


def gradients(net, forward, images, labels, precision):
    """Of the loss on a batch, of all parameters together: float32 [parameters]."""
    torch.manual_seed(0)  # for dropout
    placed = images.to(precision.inputs, memory_format=torch.channels_last)
    with precision.autocast():
        logits = forward(placed)
    F.cross_entropy(logits.float(), labels).backward()
    return torch.cat([parameter.grad.float().flatten() for parameter in net.parameters() if parameter.requires_grad])


@pytest.mark.usefixtures("cxx")
@pytest.mark.parametrize(("title", "options", "name"), COMPILED)
def test_its_gradients_are_as_good_when_compiled(title, options, name, batches):
    """In half precision: a compiled network rounds less often, so that values which were compared may differ."""
    make, images, labels = case_of(title, options, batches)
    torch._dynamo.reset()
    precision, found = Precision(name, Device(HERE)), {}
    for how in ("exact", "eager", "compiled"):
        format_ = Precision("fp32", Device(HERE)) if how == "exact" else precision
        net = format_.prepare(make(), torch.channels_last)
        forward = compiled(net, shapes=1) if how == "compiled" else net
        found[how] = gradients(net, forward, images[:8], labels[:8], format_)
    assert torch.isfinite(found["compiled"]).all()
    if not any(isinstance(module, torch.nn.Dropout) for module in net.modules()):
        errors = {how: ((found[how] - found["exact"]).norm() / found["exact"].norm()).item() for how in found}
        assert errors["compiled"] < 1.5 * errors["eager"] < 1.0, errors
