"""What layers with a compiled form do, beside what torch's own do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from bench.measures.base import made_up_batch
from bench.pipelines.datasets import load_dataset
from bench.profiling.workbench import Workbench
from bench.spec import recipes
from bench.training.examples import Examples

Result = TypeVar("Result")


def work(net: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What comes out, and the gradients of the images and the weights for one of what came out."""
    images = images.detach().requires_grad_()
    out = net(images)
    weights = next(net.parameters())
    gradient = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    return out, *torch.autograd.grad(out, [images, weights], gradient)


def by_threads(work: Callable[[], Result]) -> list[Result]:
    """What is computed by one, two and three threads of torch."""
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(work())
    finally:
        torch.set_num_threads(threads)
    return results


@torch.no_grad()
def distance(result: Tensor, exact: Tensor) -> float:
    return float((result.double() - exact).norm() / exact.norm())


def losses_of_a_training(setting: str) -> list[float]:
    """The losses of four steps of the record's recipe in fp32 with this setting."""
    noise = load_dataset("random", options={"shape": [3, 32, 32], "classes": 10, "train_count": 64, "test_count": 1})
    recipe = recipes.load("cifar94_cpu", "cpu", ["precision=fp32", "batch_size=16", setting])
    workbench = Workbench(recipe, "cpu", noise)
    trainer = workbench.trainer(workbench.loader("train", Path()))
    optimizers = trainer.train_step.make_optimizers()
    batch = Examples(*made_up_batch(16, noise, workbench.placement))
    return [float(trainer.train_step(batch, optimizers, 0).sum()) for _ in range(4)]
