"""A user's network: what its builder gets, and whether it answers in the right shape."""

from __future__ import annotations

import pytest
import torch

from bench import models
from bench.errors import UsageError
from bench.models import MODELS
from bench.models.own import check_output

DATA = {"in_channels": 3, "classes": 10, "image_size": 8}
HEAD = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, num_classes: int, width: int = 4, in_channels=3):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(in_channels, width, 3), nn.BatchNorm2d(width)
        self.head = nn.Linear(width, num_classes)
    def forward(self, x): return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))
"""


@pytest.fixture
def name(tmp_path):
    def of_source(source="", attribute="net"):
        (tmp_path / "net.py").write_text(HEAD + source)
        return f"{tmp_path}/net.py:{attribute}"

    return of_source


@pytest.mark.parametrize(
    "source",
    [
        "net = Net",
        "def net(classes, in_chans): return Net(classes, in_channels=in_chans)",
        "def net(**options): return Net(**options)",
        "def net(n_classes, img_size=0):\n    assert img_size == 8\n    return Net(n_classes)",
    ],
)
def test_the_builder_gets_what_it_names_of_the_data(name, source):
    assert models.build(name(source), {}, **DATA).head.out_features == 10


def test_options_are_checked_as_ours_are(name):
    assert models.build(name(attribute="Net"), {"width": 6}, **DATA).head.in_features == 6
    for options, said in (
        ({"widht": 6}, r"model 'net.py:Net' has no option 'widht' \(did you mean 'width'\?\); it has: width"),
        ({"width": "wide"}, "model 'net.py:Net': width is 'wide'; it takes a whole number"),
        ({"num_classes": 3}, "has no option 'num_classes'"),
    ):
        with pytest.raises(models.ImpossibleModel, match=said):
            models.build(name(attribute="Net"), options, **DATA)
    with pytest.raises(models.ImpossibleModel, match="needs the option 'depth', which has no default"):
        models.build(name("def net(num_classes, depth): ..."), {}, **DATA)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class net(Net):\n    def __init__(self, width=3): ...", r"net.py:net\(width\) does not take num_classes, so"),
        ("net = Net(10)", "net.py:net is a Net, not what builds a network; name its class, or a function"),
        ("net = 3", "net.py:net is a int, not what builds"),
        ("def net(num_classes): return None", "net.py:net returned a NoneType; a network is a torch.nn.Module"),
        ("def net(num_classes): return Net(-num_classes)", r"(?s)an error in your code.*in net\n.*negative"),
    ],
)
def test_a_builder_that_is_none_is_one_message(name, source, said):
    with pytest.raises(UsageError, match=said):
        models.build(name(source), {}, **DATA)


def test_a_wrong_shape_of_the_output_is_told(name):
    for source, said in (
        ("def net(num_classes): return Net(1000)", r"2 images \[2, 3, 8, 8\] become \[2, 1000\]; .* here \[2, 10\]"),
        ("class net(Net):\n    def forward(self, x): return (super().forward(x), 1)", "become a tuple"),
        (
            "class net(Net):\n    def forward(self, x): return self.head(x)",
            r"(?s)in forward.*shapes cannot",
        ),
    ):
        found = MODELS.find(name(source))
        with pytest.raises(UsageError, match=said):
            check_output(found, models.build(found.name, {}, **DATA), (3, 8, 8), 10)


def test_looking_at_the_output_changes_neither_the_network_nor_the_draws(name):
    net = models.build(name(attribute="Net"), {}, **DATA)
    net.norm.momentum = None
    before, state = net.state_dict(), torch.get_rng_state()
    before = {key: value.clone() for key, value in before.items()}
    check_output(MODELS.find(name(attribute="Net")), net, (3, 8, 8), 10)
    assert net.training
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
