"""A loader that keeps the whole set on the device; a batch is one gather."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch

from bench.pipelines.augment import Draws
from bench.pipelines.loader import Batch
from bench.pipelines.loaders.on_device import OnDeviceLoader
from bench.pipelines.render import Canvas, Renderer


class ResidentLoader(OnDeviceLoader):
    """Uses (H + 2 * shift) * (W + 2 * shift) * C bytes for each image, twice that with a flip."""

    cuts_margin = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        device = self.placement.device
        images = torch.from_numpy(self.images.images).to(device).permute(0, 2, 3, 1)
        self._canvas = Canvas(images, self.augment, self.dataset.margin_pixels)
        self._labels = torch.from_numpy(self.images.labels).to(device, torch.int64)
        self._renderer = Renderer(self.dataset, self.augment, self.placement)

    def _delivered(self, order: torch.Tensor, draws: Draws) -> Generator[Batch, None, None]:
        # For the whole epoch at once, so that a GPU only has to render each batch.
        draws, labels = draws[order], self._labels[order]
        first_pixels = self._canvas.first_pixels(order, draws)
        for start in range(0, len(order), self.batch_size):
            rows = slice(start, start + self.batch_size)
            yield self._renderer.render_crops(self._canvas, first_pixels[rows], draws[rows]), labels[rows]

    def _release(self) -> None:
        del self._canvas, self._labels
