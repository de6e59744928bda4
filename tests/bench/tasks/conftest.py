"""What tests of tasks share: parts on a CPU, with networks small enough for thousands of steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from torch import nn

from bench.pipelines.dataset import Dataset, Split
from bench.training.device import Device
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.schedules import constant
from bench.training.task import TaskParts
from bench.training.trained_net import TrainedNet


class NoBatches:
    steps_per_epoch = 0

    def epoch(self, epoch):
        return iter(())


def pictures(count: int, seed: int, pixels: int = 8) -> Split:
    """Images of two classes: dark ones and bright ones, with noise."""
    draws = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    noise = draws.integers(0, 60, (count, 1, pixels, pixels))
    return Split((noise + 180 * labels.reshape(-1, 1, 1, 1)).astype(np.uint8), labels.astype(np.int64))


@pytest.fixture
def make_parts() -> Callable[..., TaskParts]:
    """Parts of a task that trains these networks, whose optimisers are made by `optimizers` if that is given."""

    def make(
        model: nn.Module,
        nets: Mapping[str, TrainedNet] | None = None,
        optimizers: Callable[[nn.Module], Optimizers] | None = None,
        lr: float = 1e-3,
    ) -> TaskParts:
        def usual(net: nn.Module) -> Optimizers:
            return Optimizers(net, {"name": "rmsprop", "lr": lr}, {}, constant(), 1000, 100)

        data = Dataset("two", pictures(64, 0), pictures(32, 1), 2, (0.5,), (0.25,), official=None)
        precision = Precision("fp32", Device("cpu"))
        return TaskParts(model, data, NoBatches(), precision, optimizers or usual, 0, nets or {}, 1000)

    return make
