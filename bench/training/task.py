"""A task: a kind of training with steps, a quality and pictures of its own, where a classifier's do not fit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.pipelines.dataset import Dataset
from bench.training.examples import Examples
from bench.training.loop import Batches
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.state import State, of_attributes, put_attributes
from bench.training.trained_net import TrainedNet


@dataclass(frozen=True)
class Quality:
    """What a task is judged by: the name of one of the numbers that it measures, and which of two is better."""

    name: str
    better: Literal["lower", "higher"]


@dataclass(frozen=True)
class TaskParts:
    """What a task is made of besides its settings.

    `model` holds all networks that are trained, on the device in its precision. `test` are the batches of the test
    split, normalised as those of the training. `make_optimizers` makes the recipe's optimisers, on the recipe's
    schedule, for one of the networks. `nets` are those of earlier runs, by the setting that names them. The whole
    training has `total_batches`.
    """

    model: nn.Module
    data: Dataset
    test: Batches
    precision: Precision
    make_optimizers: Callable[[nn.Module], Optimizers]
    seed: int
    nets: Mapping[str, TrainedNet]
    total_batches: int

    @property
    def device(self) -> torch.device:
        return self.precision.device.torch


class Task(ABC):
    """What is trained, by which steps, and how good it is; `settings` are those of the recipe's `task`.

    Numbers of `epoch_figures` and `evaluate` stand under their names in the epoch's row, those of the last `evaluate`
    among the metrics of the run.
    """

    # What it is judged by; it may depend on the data.
    quality: Quality
    # Whether the untrained networks are judged too, before the first step.
    judges_untrained: ClassVar[bool] = False
    # Attributes that a checkpoint keeps, because a training changes them and goes on from them: numbers, generators of
    # random numbers, and what has a state itself.
    CHANGED: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: Any, parts: TaskParts) -> None:
        self.settings, self.parts = settings, parts

    @abstractmethod
    def begin(self) -> Optimizers:
        """A run begins with the present weights; the optimisers returned stand for all of them in the record."""

    @abstractmethod
    def step(self, batch: Examples, position: float) -> Tensor:
        """Train on a batch after `position` whole ones; the mean loss of its examples, float32 [] on the device.

        It may not wait for the device.
        """

    def descend(self, loss: Tensor, optimizers: Optimizers) -> None:
        """Step these optimisers once, down the gradient of the loss."""
        precision = self.parts.precision
        precision.backward(loss)
        precision.step(optimizers.all)
        optimizers.zero_grad()

    @abstractmethod
    def evaluate(self) -> dict[str, float]:
        """The quality, and what else is measured of the present weights, by name.

        Raises `Diverged` where there is nothing to measure any more.
        """

    def epoch_figures(self) -> dict[str, float]:
        """Other numbers of the epoch that has just ended, by name."""
        return {}

    def pictures(self) -> dict[str, Tensor]:
        """What is drawn after an evaluation, by name: a picture each, uint8 [3, H, W]."""
        return {}

    def state(self) -> State:
        """What a checkpoint keeps between two epochs, beside the networks."""
        return of_attributes(self, self.CHANGED)

    def restore(self, saved: State) -> None:
        """Put back what `state` returned in an interrupted run; called after `begin`."""
        put_attributes(self, saved)
