"""What a step asks of a device is counted on a CPU, with the choices that a GPU would have."""

from __future__ import annotations

import pytest
import torch

from bench import assembly
from bench import recipe as recipes
from bench.clock import Clock
from bench.profiling.operations import Operations
from bench.workbench import Workbench, at_full_size
from pipelines.datasets import load_dataset

SMALL = ["model.widths=[4, 8, 8]", "batch_size=8", "evaluation.batch_size=8", "epochs=2"]


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


class Queue:
    """A device to whose values the host has no free access."""

    def __init__(self, device):
        self._device = device

    reads_are_free = False

    def __getattr__(self, name):
        return getattr(self._device, name)


@pytest.mark.parametrize("name", ["cifar94", "speedrun94_hiverge", "cifar95", "cifar94_cheap"])
def test_an_epoch_of_the_record_recipes_waits_for_the_device_once_at_its_end(name):
    recipe = recipes.load(name, "cuda", [*SMALL, "optimizer.groups.whiten_bias.epochs=1"])
    options = {"shape": [3, 32, 32], "classes": 10, "train_count": 32, "test_count": 8}
    data = load_dataset("random", options=options)
    workbench = Workbench(at_full_size(recipe), "cpu", data)
    plain = workbench.recipe.model_copy(update={"compile": False, "cuda_graph": None})
    with assembly.build_loader(plain, data, "train", workbench.placement, 0, None, None) as loader:
        trainer = assembly.build_trainer(
            plain, workbench.model, workbench.precision, loader, loader, Clock(), lambda _: None, fused=True
        )
        optimizers = trainer.make_optimizers()
        workbench.precision.device = Queue(workbench.precision.device)
        for epoch in range(2):
            with Operations() as operations:
                trainer._epoch(epoch, optimizers)
            assert operations.waits == {"_local_scalar_dense": 1}
        assert trainer.step == 8
