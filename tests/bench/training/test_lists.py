"""Work on many tensors at once: in lists of one number format, each of which is one kernel on a GPU."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from bench import models
from bench.ingredients.ema import Ema
from bench.ingredients.lookahead import Lookahead
from bench.training.device import Device
from bench.training.lists import by_format
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.schedules import constant

COMMON = {"lr": 0.01, "weight_decay": 0.01}
OPTIMIZERS = {
    "sgd, decoupled": ({"name": "sgd", "decoupled": True, "momentum": 0.9, **COMMON}, {}),
    "muon": ({"name": "muon", **COMMON}, {role: {"name": "sgd", "lr": 0.01} for role in ("biases", "norm_weights")}),
}


class OneFormat(TorchDispatchMode):
    """While entered, notes the operations on a list of several number formats."""

    def __init__(self):
        super().__init__()
        self.mixed, self.seen = [], set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name.startswith("_foreach"):
            self.seen.add(name)
            lists = [values for values in args if isinstance(values, list | tuple) and isinstance(values[0], Tensor)]
            self.mixed += [name for values in lists if len({value.dtype for value in values}) > 1]
        return func(*args, **(kwargs or {}))


@pytest.fixture
def net():
    """In half precision but for its batch norms; the head has a bias."""
    torch.manual_seed(0)
    options = {"blocks": [1], "width": 4}
    net = models.build("darknet", options, in_channels=3, classes=4, image_size=8)
    return Precision("pure_bf16", Device("cpu")).prepare(net, torch.channels_last)


def test_each_part_has_one_format_and_the_other_lists_are_split_alike():
    half, single = torch.zeros(1, dtype=torch.bfloat16), torch.zeros(1)
    (first, numbers), (second, others) = by_format([half, single, half], [single, half, half])
    assert [value.dtype for value in first] == [torch.bfloat16] * 2
    assert (numbers[0] is single, numbers[1] is half, second[0] is single, others[0] is half) == (True,) * 4


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_works_on_lists_of_one_format(net, name):
    made = Optimizers(net, *OPTIMIZERS[name], constant(), 10, 5)
    for parameter in net.parameters():
        parameter.grad = torch.randn_like(parameter)
    with OneFormat() as operations:
        for optimizer in made.all:
            optimizer.step()
    assert operations.seen
    assert operations.mixed == []


@pytest.mark.parametrize("make", [lambda net: Lookahead(net, every=1), lambda net: Ema(net, 0.9)])
def test_an_average_works_on_lists_of_one_format(net, make):
    average = make(net)
    average.begin()
    with OneFormat() as operations:
        average.after_step(1, 3)
        average.after_step(2, 3)
        with average.evaluated():
            pass
    assert operations.seen
    assert operations.mixed == []


def test_a_lookahead_of_mixed_formats_follows_as_in_each_alone(net):
    start = {name: value.clone() for name, value in net.state_dict().items()}
    lookahead = Lookahead(net, every=1, decay=0.5)
    lookahead.begin()
    assert len({value.dtype for value in start.values() if value.is_floating_point()}) == 2
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1)
    moved = {name: value.clone() for name, value in net.state_dict().items()}
    lookahead.after_step(1, 2)
    keep = 0.5 * 0.5**3
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(value, torch.lerp(start[name], moved[name], 1 - keep)), name


def test_a_net_without_parameters_has_no_lists():
    assert by_format(list(nn.ReLU().parameters())) == []
