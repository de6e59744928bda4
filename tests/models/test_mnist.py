"""The lesson's MNIST nets: their sizes, their order, and where a residual block starts."""

import pytest
import torch
from torch import nn

from bench import models

DATA = {"in_channels": 1, "classes": 10, "image_size": 28}
LATER = {"order": "conv-act-bn", "he_normal": True}


def build(name, **options):
    torch.manual_seed(0)
    return models.build(name, options, **DATA)


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("mnist_plain", {"bias": True}, 12_126),
        ("mnist_plain", LATER, 12_044),
        ("mnist_resnetish", LATER | {"zero_last_scale": True}, 41_132),
        ("mnist_dense", LATER, 52_940),
        ("mnist_plain", {}, 12_044),
    ],
)
def test_it_has_the_lessons_number_of_parameters(name, options, parameters):
    assert sum(p.numel() for p in build(name, **options).parameters()) == parameters


def kinds(net):
    return "".join({nn.Conv2d: "c", nn.BatchNorm2d: "b", nn.ReLU: "r"}.get(type(m), "") for m in net.modules())


def test_the_order_of_layers_is_the_lessons():
    assert kinds(build("mnist_plain", bias=True)) == "cbr" * 4 + "cb"
    assert kinds(build("mnist_plain", **LATER)) == "crb" * 5
    assert kinds(build("mnist_resnetish", **LATER)) == "crb" * 13


def test_a_block_whose_last_scale_is_zero_starts_as_the_identity():
    net = build("mnist_resnetish", zero_last_scale=True, **LATER)
    block = net.body[1]
    images = torch.randn(4, 8, 14, 14)
    assert torch.equal(block(images), images)
    assert not torch.equal(build("mnist_resnetish", **LATER).body[1](images), images)
