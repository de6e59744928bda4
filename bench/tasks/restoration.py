"""Restoration: the whole image from a damaged one, by its pixels or by what a classifier sees in it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.errors import UsageError
from bench.models.encoder import Encoder
from bench.tasks.dense import Answers, DensePrediction, answers, first_answers, picture
from bench.tasks.dense_settings import RestorationSettings
from bench.tasks.image_quality import ImageScore
from bench.tasks.pixels import Pixels
from bench.training.feature_loss import FeatureLoss, Features
from bench.training.sizes import resized
from bench.training.task import Quality, TaskParts
from bench.training.trained_net import TrainedNet, channels


class Restoration(DensePrediction):
    """Mean squared error, L1, or `FeatureLoss` of normalised images."""

    quality = Quality("psnr_db", "higher")
    TARGET_DIMENSIONS = 4

    def __init__(self, settings: RestorationSettings, parts: TaskParts) -> None:
        super().__init__(settings, parts)
        trained, weights = parts.nets.get("features"), settings.feature_weights
        if trained is None and settings.loss == "features":
            raise UsageError(
                "task.loss: features are compared by a classifier, which only a whole training loads; take mse"
            )
        self._features = features_of(trained, len(weights), parts) if trained else None
        self._pixels = Pixels(parts.data, parts.device)
        self._half_until = round((settings.half_size_until or 0.0) * parts.total_batches)
        self._of_features = (
            FeatureLoss(self._from_normalised, weights, settings.gram) if settings.loss == "features" else None
        )

    def seen(self, images: Tensor, targets: Tensor, position: float) -> tuple[Tensor, Tensor]:
        if position >= self._half_until:
            return images, targets
        pixels = min(images.shape[-2:]) // 2
        return resized(images, pixels), resized(targets, pixels)

    def loss(self, made: Tensor, targets: Tensor) -> Tensor:
        if self._of_features is not None:
            return self._of_features(made, targets)
        compared = F.l1_loss if self.settings.loss == "l1" else F.mse_loss
        return compared(made.float(), targets.float())

    def evaluate(self) -> dict[str, float]:
        return image_figures(answers(self.model, self.parts), self._features, self.parts)

    def pictures(self) -> dict[str, Tensor]:
        return {"before_after": before_after(first_answers(self.model, self.parts), self.parts)}

    def _from_normalised(self, images: Tensor) -> list[Tensor]:
        assert self._features is not None
        return list(self._features(self._pixels(images)))


def image_figures(batches: Iterable[Answers], features: Features | None, parts: TaskParts) -> dict[str, float]:
    """The figures of `ImageScore` over batches of damaged images, whole ones, and what was made of the first."""
    score, pixels = ImageScore(features, parts.device), Pixels(parts.data, parts.device)
    for damaged, whole, made in batches:
        before, truth, after = (pixels(images).clamp(0, 1) for images in (damaged, whole, made))
        score.add(before, after, truth)
    return score.figures()


def before_after(batch: Answers, parts: TaskParts) -> Tensor:
    """A row for each of the first images: damaged, restored, whole. uint8 [3, H, W]."""
    pixels = Pixels(parts.data, parts.device)
    damaged, whole, made = (pixels(images).clamp(0, 1) for images in batch)
    return picture(damaged, made, whole)


def features_of(trained: TrainedNet, count: int, parts: TaskParts) -> Features:
    """The finest `count` features that a trained network's encoder finds in images in [0, 1].

    Raises `UsageError` for a network without an encoder, and for more features than it has.
    """
    encoder = getattr(trained.net, "encoder", None)
    if not isinstance(encoder, Encoder):
        raise UsageError(
            f"task.features: {type(trained.net).__name__} has no encoder whose features could be compared; name a run "
            "of `encoder_cifar10`"
        )
    if count > len(encoder.widths):
        raise UsageError(
            f"task.feature_weights: {count} weights for {len(encoder.widths)} features; leave some of them out"
        )
    found: Encoder = encoder
    # Made once: a copy to the device at each step would wait for it.
    mean, std = (channels(values, torch.empty(0, device=parts.device)) for values in (trained.mean, trained.std))
    return lambda pixels: found((pixels.float() - mean) / std)[:count]
