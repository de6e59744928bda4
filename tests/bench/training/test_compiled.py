"""How networks are given to torch.compile, by backends that note each program and run it as it is."""

from __future__ import annotations

import pytest
import torch
import torch._dynamo
from torch import nn

from bench.training.compiled import compiled

DICT_TAGS = "skip_tensor_guards_with_matching_dict_tags"


@pytest.fixture(autouse=True)
def forgotten():
    """Each test compiles anew, within limits of its own, and none of them may be passed unseen."""
    dynamo = torch._dynamo.config
    own = {"fail_on_recompile_limit_hit": True, "recompile_limit": 1, "accumulated_recompile_limit": 1}
    torch._dynamo.reset()
    with dynamo.patch(own | ({DICT_TAGS: True} if hasattr(dynamo, DICT_TAGS) else {})):
        yield
    torch._dynamo.reset()


@pytest.fixture
def programs():
    """What each program is made for: the shapes of its images, and how many of its inputs need a gradient."""
    return []


@pytest.fixture
def noting(programs):
    def backend(graph, inputs):
        symbolic = any(isinstance(value, torch.SymInt) for value in inputs)
        shapes = [tuple(value.shape) for value in inputs if isinstance(value, torch.Tensor) and value.ndim == 4]
        gradients = sum(isinstance(value, torch.Tensor) and value.requires_grad for value in inputs)
        programs.append((symbolic, torch.is_grad_enabled(), tuple(shapes), gradients))
        return graph.forward

    return backend


def network():
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 2))


def evaluated(net, sizes):
    net.eval()
    with torch.no_grad():
        for size in sizes:
            net(torch.randn(size, 1, 2, 2))
    net.train()


def test_each_batch_size_has_a_program_and_none_is_for_any(noting, programs):
    net = compiled(network(), shapes=1, backend=noting)
    for _ in range(2):
        for _ in range(2):
            net(torch.randn(8, 1, 2, 2)).sum().backward()
        evaluated(net, [6, 6, 3])
    assert [(symbolic, shapes) for symbolic, _, shapes, _ in programs] == [
        (False, ((8, 1, 2, 2),)),
        (False, ((6, 1, 2, 2),)),
        (False, ((3, 1, 2, 2),)),
    ]


def test_a_parameter_that_is_frozen_later_is_noticed(noting, programs):
    """So that its gradient is no longer computed; torch 2.6 to 2.11 have to be told to look."""
    dynamo = torch._dynamo.config
    net = network()
    forward = compiled(net, shapes=1, freezings=1, backend=noting)
    if hasattr(dynamo, DICT_TAGS):
        assert getattr(dynamo, DICT_TAGS) is False
    images = torch.randn(8, 1, 2, 2)
    for trained in (True, False):
        net[2].weight.requires_grad_(trained)
        for _ in range(3):
            forward(images).sum().backward()
    assert [gradients for *_, gradients in programs] == [4, 3]


class Broken(nn.Module):
    """A layer that no program can run through."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        x = self.linear(x)
        torch._dynamo.graph_break()
        return x.relu()


@pytest.mark.parametrize("layers", [1, 4])
def test_the_limit_has_room_for_all_shapes_freezings_and_parts(noting, programs, layers):
    """Beyond it torch runs the rest in eager mode and says so in a log alone."""
    net = nn.Sequential(*(Broken() for _ in range(layers)), nn.Linear(4, 2))
    forward = compiled(net, shapes=3, freezings=2, backend=noting)

    def run_all():
        for size in (2, 4, 8):
            forward(torch.randn(size, 4)).sum().backward()
        forward.eval()
        with torch.no_grad():
            for size in (6, 3):
                forward(torch.randn(size, 4))
        forward.train()

    run_all()
    net[0].linear.bias.requires_grad_(False)
    run_all()
    net[0].linear.weight.requires_grad_(False)
    run_all()
    before = len(programs)
    run_all()
    assert len(programs) == before > 0
