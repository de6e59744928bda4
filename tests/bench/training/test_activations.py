import torch
from torch import nn

from bench.training.activations import KeptActivations, tensor_bytes


def test_a_linear_layer_keeps_its_input_and_not_its_weight():
    layer, x = nn.Linear(8, 4), torch.randn(16, 8)
    with KeptActivations(layer.parameters()) as kept:
        layer(x)
    assert kept.total_bytes == 16 * 8 * 4


def test_what_two_keep_counts_once_for_the_first():
    x = torch.randn(10, requires_grad=True)
    with KeptActivations() as kept:
        kept.owner = "first"
        y = x.exp()
        kept.owner = "second"
        (y * y).sum()
    assert kept.bytes_by_owner == {"first": 40}


def test_of_graphs_that_are_freed_one_after_the_other_the_largest_counts():
    layer = nn.Linear(8, 4)
    with KeptActivations(layer.parameters()) as kept:
        for examples in (16, 32, 24):
            layer(torch.randn(examples, 8)).sum().backward()
    assert kept.total_bytes == 32 * 8 * 4
    assert kept.bytes_by_owner == {"": (16 + 32 + 24) * 8 * 4}


def test_nothing_is_kept_without_gradients():
    with torch.no_grad(), KeptActivations() as kept:
        nn.Linear(8, 4)(torch.randn(2, 8))
    assert kept.total_bytes == 0


def test_the_gradients_are_the_same_as_without():
    layer, x = nn.Sequential(nn.Linear(8, 4), nn.GELU()), torch.randn(2, 8)
    layer(x).sum().backward()
    plain = layer[0].weight.grad.clone()
    layer.zero_grad()
    with KeptActivations(layer.parameters()):
        layer(x).sum().backward()
    assert torch.equal(layer[0].weight.grad, plain)


def test_bytes_of_tensors_alone():
    assert tensor_bytes([torch.zeros(3), 7, None, torch.zeros(2, dtype=torch.int8)]) == 14
