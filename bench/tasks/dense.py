"""Dense prediction: a U-Net makes something of each pixel, and is told what it should have made."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator
from contextlib import closing

import torch
from torch import Tensor, nn

from bench.errors import UsageError
from bench.models.unet import UNet
from bench.tasks.dense_settings import DenseSettings
from bench.tasks.late_training import LateTraining, start_from
from bench.tasks.pixels import grid
from bench.training.examples import Examples
from bench.training.optimizers import Optimizers
from bench.training.task import Task, TaskParts

# Rows of a picture, and the pixels of a side that its images have at least.
SHOWN, LEAST_SIDE = 8, 96
# Images, targets, and what the network makes of the images.
Answers = tuple[Tensor, Tensor, Tensor]


class DensePrediction(Task):
    """Trains the recipe's U-Net on pairs of images and targets, by `loss`.

    Raises `UsageError` for data without such targets, and for weights that do not fit the encoder.
    """

    # Dimensions of a batch of targets: 3 are classes of pixels, 4 are images.
    TARGET_DIMENSIONS: int
    CHANGED = ("_optimizers",)

    def __init__(self, settings: DenseSettings, parts: TaskParts) -> None:
        super().__init__(settings, parts)
        check_targets(settings.name, self.TARGET_DIMENSIONS, parts)
        assert isinstance(parts.model, UNet)
        self.model: UNet = parts.model
        if trained := parts.nets.get("encoder"):
            start_from(self.model.encoder, trained.net, "task.encoder")

    def begin(self) -> Optimizers:
        self._optimizers = self.parts.make_optimizers(self.model)
        until = self.settings.frozen_until or 0.0
        self._late = LateTraining(self.model.encoder, round(until * self.parts.total_batches))
        return self._optimizers

    def step(self, batch: Examples, position: float) -> Tensor:
        self._late.advance(position)
        self._optimizers.set_progress(position)
        images, targets = self.seen(batch.images, batch.labels, position)
        with self.parts.precision.autocast():
            loss = self.loss(self.model(images), targets)
        self.descend(loss, self._optimizers)
        return loss.detach()

    def seen(self, images: Tensor, targets: Tensor, position: float) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """The batch as the network sees it after `position` whole batches."""
        return images, targets

    @abstractmethod
    def loss(self, made: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of what the network made of a batch, float32 []."""


@torch.no_grad()
def answers(model: nn.Module, parts: TaskParts) -> Generator[Answers, None, None]:
    """Images, targets and what `model` makes of them in evaluation, float32, for each batch of the test split.

    The model is in training again at the end.
    """
    model.eval()
    try:
        for images, targets in parts.test.epoch(0):
            with parts.precision.autocast():
                made: Tensor = model(images)
            yield images, targets, made.float()
    finally:
        model.train()


def first_answers(model: nn.Module, parts: TaskParts) -> Answers:
    """Those of the first batch."""
    with closing(answers(model, parts)) as batches:
        return next(batches)


def picture(*columns: Tensor) -> Tensor:
    """A row for each of the first images: its `columns`, each [B, C, H, W] in [0, 1]. uint8 [3, height, width].

    Small images are enlarged, so that their pixels can be seen.
    """
    table = torch.stack([column[:SHOWN] for column in columns], dim=1).flatten(0, 1)
    times = max(1, LEAST_SIDE // min(table.shape[-2:]))
    return grid(table.repeat_interleave(times, dim=2).repeat_interleave(times, dim=3), len(columns))


def check_targets(name: str, dimensions: int, parts: TaskParts) -> None:
    """Raise `UsageError` unless the data has targets of so many dimensions a batch."""
    targets = parts.data.train.targets
    if targets is None or targets.ndim != dimensions:
        wanted = "the class of each pixel" if dimensions == 3 else "a whole image for each damaged one"
        example = "pasted_digits, or a folder of images and masks" if dimensions == 3 else "damaged_cifar10"
        raise UsageError(f"task: {name} needs data with {wanted}, which {parts.data.name} has not; take {example}")
