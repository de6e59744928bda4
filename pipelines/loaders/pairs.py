"""A loader of images and their targets, which are shifted and mirrored alike."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch

from bench.pipelines.augment import Augment, Draws
from bench.pipelines.errors import WrongOption
from bench.pipelines.loader import Batch
from bench.pipelines.loaders.resident import ResidentLoader
from bench.pipelines.render import Canvas


class PairsLoader(ResidentLoader):
    """Keeps images and targets on the device.

    The second part of a batch is the class of each pixel, int64 [B, H, W], or an image normalised as the first, [B, C,
    H, W]. Raises WrongOption for an augmentation that changes an image and not the image that it should become.
    """

    reads_targets = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert self.images.targets is not None
        targets = torch.from_numpy(self.images.targets).to(self.placement.device)
        self._of_pixels = targets.ndim == 3
        if not self._of_pixels:
            self._refuse_colours()
        by_pixel = targets[..., None] if self._of_pixels else targets.permute(0, 2, 3, 1)
        self._target_canvas = Canvas(by_pixel, self.augment)

    def _delivered(self, order: torch.Tensor, draws: Draws) -> Generator[Batch, None, None]:
        draws = draws[order]
        first_pixels = self._canvas.first_pixels(order, draws)
        for start in range(0, len(order), self.batch_size):
            rows = slice(start, start + self.batch_size)
            images = self._renderer.render_crops(self._canvas, first_pixels[rows], draws[rows])
            # The same places: both canvases have the same margins.
            yield images, self._targets(first_pixels[rows])

    def _targets(self, first_pixels: torch.Tensor) -> torch.Tensor:
        if self._of_pixels:
            return self._target_canvas.crops(first_pixels).long()
        # Without the draws: those that are left by `_refuse_colours` are in `first_pixels`.
        return self._renderer.render_crops(self._target_canvas, first_pixels, Draws())

    def _refuse_colours(self) -> None:
        usual = Augment()
        for option in ("cutout_pixels", "brightness", "contrast"):
            if getattr(self.augment, option) != getattr(usual, option):
                raise WrongOption(f"augment.{option}: changes an image and not the image that it should become")

    def _release(self) -> None:
        super()._release()
        del self._target_canvas
