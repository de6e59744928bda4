"""Small made-up pairs, and the parts of a task that trains on them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bench.pipelines.augment import Augment
from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.loader import Placement
from bench.pipelines.loaders import make_loader
from bench.training.device import Device
from bench.training.examples import Examples
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.schedules import constant
from bench.training.task import TaskParts
from bench.training.trained_net import TrainedNet

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
TOTAL_BATCHES = 20


def pairs(targets: str, void: int | None = None) -> Dataset:
    """24 images of a bright square in noise, each with the class of its pixels, or without the noise."""
    random = np.random.default_rng(0)
    whole = np.full((24, 3, 16, 16), 100, np.uint8)
    classes = np.zeros((24, 16, 16), np.uint8)
    for index in range(24):
        top, left = random.integers(0, 9, 2)
        whole[index, :, top : top + 8, left : left + 8] = 200
        classes[index, top : top + 8, left : left + 8] = 1
    noisy = np.clip(whole + random.normal(0, 20, whole.shape), 0, 255).astype(np.uint8)
    wanted: dict[str, npt.NDArray[np.uint8] | None] = {"classes": classes, "images": whole, "none": None}
    split = Split(noisy, np.zeros(24, np.int64), wanted[targets])
    return Dataset("squares", split, split, 2, MEAN, STD, official=False, void=void)


def parts(
    model: nn.Module, data: Dataset, nets: Mapping[str, TrainedNet] = MappingProxyType({}), lr: float = 0.003
) -> TaskParts:
    """For a training of TOTAL_BATCHES on the CPU in fp32, at a constant rate."""
    precision = Precision("fp32", Device("cpu"))

    def make_optimizers(net: nn.Module) -> Optimizers:
        return Optimizers(net, {"name": "adamw", "lr": lr}, {}, constant(), TOTAL_BATCHES, TOTAL_BATCHES)

    loader = "resident" if data.train.targets is None else "pairs"
    test = make_loader(loader, data, "test", 12, Augment(), Placement(torch.device("cpu")), seed=0)
    return TaskParts(
        model=precision.prepare(model, torch.channels_last),
        data=data,
        test=test,
        precision=precision,
        make_optimizers=make_optimizers,
        total_batches=TOTAL_BATCHES,
        seed=0,
        nets=nets,
    )


def batch(made: TaskParts) -> Examples:
    """The first test images and their targets."""
    images, targets = next(iter(made.test.epoch(0)))
    return Examples(images, targets)
