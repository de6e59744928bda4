"""What a step asks of a device is counted on a CPU, with the choices that a GPU would have."""

from __future__ import annotations

import pytest
import torch

from bench.profiling.operations import Operations


def test_computing_and_copying_are_counted_and_views_are_not():
    x = torch.randn(4, 6)
    with Operations() as operations:
        y = (x.view(6, 4).T[1:] * 2).contiguous()
        torch.empty_like(y)
        y.add_(1).relu()
    assert operations.by_name == {"mul": 1, "add_": 1, "relu": 1, "clone": 1}
    assert operations.total == 4
    assert not operations.waits


@pytest.mark.parametrize(
    ("work", "name"),
    [
        (lambda x: x.sum().item(), "_local_scalar_dense"),
        (lambda x: bool((x > 0).any()), "_local_scalar_dense"),
        (lambda x: x[x > 0], "index"),
        (lambda x: x.nonzero(), "nonzero"),
        (lambda x: x.cpu(), "cpu"),
        (lambda x: x.tolist(), "tolist"),
        (lambda x: x.numpy(), "numpy"),
    ],
)
def test_what_a_host_would_wait_for_is_told(work, name):
    with Operations() as operations:
        work(torch.randn(5))
    assert operations.waits[name] == 1


def test_an_index_that_is_no_mask_waits_for_nothing():
    with Operations() as operations:
        torch.randn(5)[torch.tensor([0, 2])]
    assert not operations.waits
