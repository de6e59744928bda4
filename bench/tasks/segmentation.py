"""Segmentation: the class of each pixel."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.errors import UsageError
from bench.tasks.dense import DensePrediction, answers, first_answers, picture
from bench.tasks.dense_settings import SegmentationSettings
from bench.tasks.pixel_classes import PixelScore
from bench.tasks.pixels import Pixels
from bench.training.task import Quality, TaskParts

# What the colours of classes are multiples of, in a space of 256³; neighbours differ much, and class 0 is black.
COLOUR_STEP = (67, 149, 211)


class Segmentation(DensePrediction):
    """Cross-entropy of each pixel's class; pixels of the value `void` are left out.

    Raises `UsageError` for test images of which every pixel is void.
    """

    quality = Quality("pixel_accuracy", "higher")
    TARGET_DIMENSIONS = 3

    def __init__(self, settings: SegmentationSettings, parts: TaskParts) -> None:
        super().__init__(settings, parts)
        void, targets = parts.data.void, parts.data.test.targets
        if void is not None and bool(np.all(targets == void)):
            raise UsageError(
                f"data.void: every pixel of the test images of {parts.data.name} is void ({void}), so that nothing is "
                "left to judge; set data.void to another value, or leave it out"
            )

    def loss(self, made: Tensor, targets: Tensor) -> Tensor:
        void = self.parts.data.void
        return F.cross_entropy(made.float(), targets, ignore_index=-100 if void is None else void)  # torch's default

    def evaluate(self) -> dict[str, float]:
        data = self.parts.data
        score = PixelScore(data.classes, data.void, self.parts.device)
        for _, targets, made in answers(self.model, self.parts):
            score.add(made, targets)
        return score.figures()

    def pictures(self) -> dict[str, Tensor]:
        """A row for each of the first test images: it, the classes found, the classes in truth."""
        images, targets, made = first_answers(self.model, self.parts)
        pixels = Pixels(self.parts.data, self.parts.device)
        return {"before_after": picture(pixels(images), coloured(made.argmax(dim=1)), coloured(targets))}


def coloured(classes: Tensor) -> Tensor:
    """A colour for each class: int64 [B, H, W] to [B, 3, H, W] in [0, 1]."""
    steps = torch.tensor(COLOUR_STEP, device=classes.device).view(1, 3, 1, 1)
    return (classes[:, None] * steps % 256).float() / 255
