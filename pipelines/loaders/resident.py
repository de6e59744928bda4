"""The loader without a data path: the whole set lies on the device, and a batch is one gather from it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch

from pipelines.loader import Batch, Loader
from pipelines.render import Canvas, Renderer


class ResidentLoader(Loader):
    """Holds (H + 2 * shift) * (W + 2 * shift) * C bytes an image, twice that with a flip.

    Nothing waits for the device within an epoch: draws are copied to it once, at the beginning.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        device = self.placement.device
        images = torch.from_numpy(self.images.images).to(device).permute(0, 2, 3, 1)
        self._canvas = Canvas(images, self.augment)
        self._labels = torch.from_numpy(self.images.labels).to(device, torch.int64)
        self._renderer = Renderer(self.dataset, self.augment, self.placement)

    def _batches(self, epoch: int) -> Generator[Batch, None, None]:
        device = self.placement.device
        order, draws = self.order(epoch).to(device, non_blocking=True), self.draws(epoch).to(device)
        for images in torch.split(order, self.batch_size):
            yield self._renderer.render(self._canvas, images, draws[images]), self._labels[images]

    def _release(self) -> None:
        del self._canvas, self._labels
