"""How near restored images are to the whole ones: in their pixels, in sharpness, and in what a classifier sees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.training.feature_loss import Features, feature_distance

# Equal images would have an infinite signal-to-noise ratio; this is 100 dB.
LEAST_ERROR = 1e-10
# In [0, 1]: a pixel that damage changed by less, such as by rounding, is whole. Five of 255 levels.
CHANGED = 0.02


class ImageScore:
    """Sums over the images of an evaluation, on the device."""

    def __init__(self, features: Features | None, device: torch.device) -> None:
        self._features = features
        self._sums: dict[str, Tensor] = {}
        self._count, self._device = 0, device

    def add(self, damaged: Tensor, made: Tensor, whole: Tensor) -> None:
        """Of images [B, C, H, W] in [0, 1]."""
        self._count += len(whole)
        sharp = contrast(whole).clamp_min(LEAST_ERROR)
        goals = self._seen(whole)
        for prefix, images in (("", made), ("damaged_", damaged)):
            self._sum(f"{prefix}psnr_db", psnr_db(images, whole))
            self._sum(f"{prefix}sharpness", contrast(images) / sharp)
            self._sum(f"{prefix}changed", changed_error(images, damaged, whole))
            if goals:
                self._sum(f"{prefix}feature_distance", feature_distance(self._seen(images), goals))

    def figures(self) -> dict[str, float]:
        """Means over the images: `psnr_db`, `sharpness` (1 is that of the whole image) and with features
        `feature_distance`; those of the images as they were begin with `damaged_`.

        If there is damage, `damage_left` is the share of its squared error that is left in the pixels it changed.
        """
        names, sums = self._sums.keys(), torch.stack(list(self._sums.values())).tolist()
        means = {name: total / self._count for name, total in zip(names, sums, strict=True)}
        left, damage = means.pop("changed"), means.pop("damaged_changed")
        return means | ({"damage_left": left / damage} if damage else {})

    @torch.no_grad()
    def _seen(self, images: Tensor) -> Sequence[Tensor]:
        """The features of images; none without a classifier."""
        return () if self._features is None else self._features(images)

    def _sum(self, name: str, values: Tensor) -> None:
        before = self._sums.get(name, torch.zeros((), dtype=torch.float64, device=self._device))
        self._sums[name] = before + values.sum(dtype=torch.float64)


def psnr_db(images: Tensor, others: Tensor) -> Tensor:
    """The peak signal-to-noise ratio of images [B, C, H, W] in [0, 1], in decibels: float32 [B]."""
    error = (images.float() - others.float()).square().mean(dim=(1, 2, 3))
    return -10 * error.clamp_min(LEAST_ERROR).log10()


def changed_error(images: Tensor, damaged: Tensor, whole: Tensor) -> Tensor:
    """The squared error of images in the pixels that damage changed, all [B, C, H, W] in [0, 1]: float32 [B]."""
    changed = (damaged.float() - whole.float()).abs().amax(dim=1, keepdim=True) > CHANGED
    return ((images.float() - whole.float()).square() * changed).sum(dim=(1, 2, 3))


def contrast(images: Tensor) -> Tensor:
    """The mean difference between pixels that are neighbours, of images [B, C, H, W]: float32 [B]."""
    images = images.float()
    across, down = images.diff(dim=3).abs(), images.diff(dim=2).abs()
    return (across.mean(dim=(1, 2, 3)) + down.mean(dim=(1, 2, 3))) / 2
