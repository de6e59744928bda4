"""A loader that keeps the whole set on the device; a batch is one gather."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch

from bench.pipelines.augment import Draws, sent
from bench.pipelines.loader import Batch, Loader
from bench.pipelines.render import Canvas, Renderer


class ResidentLoader(Loader):
    """Uses (H + 2 * shift) * (W + 2 * shift) * C bytes for each image, twice that with a flip.

    Nothing waits for the device within an epoch: draws are copied to it once, at the beginning. While a GPU still works
    on the last batches of an epoch, the host draws the next into pinned memory, from which they are copied at once. The
    first epoch draws its own, so that a run pays for all that is random in it.
    """

    cuts_margin = True
    _ahead: tuple[int, torch.Tensor, Draws] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        device = self.placement.device
        self._looks_ahead = device.type == "cuda"
        images = torch.from_numpy(self.images.images).to(device).permute(0, 2, 3, 1)
        self._canvas = Canvas(images, self.augment, self.dataset.margin_pixels)
        self._labels = torch.from_numpy(self.images.labels).to(device, torch.int64)
        self._renderer = Renderer(self.dataset, self.augment, self.placement)

    def _batches(self, epoch: int, order: torch.Tensor) -> Generator[Batch, None, None]:
        device = self.placement.device
        order, drawn = sent(order, device), self.draws(epoch).to(device)
        # For the whole epoch at once, so that a GPU only has to render each batch.
        draws, labels = drawn[order], self._labels[order]
        first_pixels = self._canvas.first_pixels(order, draws)
        for start in range(0, len(order), self.batch_size):
            rows = slice(start, start + self.batch_size)
            yield self._renderer.render_crops(self._canvas, first_pixels[rows], draws[rows]), labels[rows]
        if self.training and self._looks_ahead:
            self._draw_ahead(epoch + 1)

    def warm_up(self) -> None:
        super().warm_up()
        self._ahead = None  # its pinned memory stays torch's, for the run's own draws

    def reseed(self, seed: int) -> None:
        super().reseed(seed)
        self._ahead = None

    def shuffled(self, epoch: int) -> torch.Tensor:
        return self._drawn_for(epoch)[1] if self.training and self._looks_ahead else super().shuffled(epoch)

    def draws(self, epoch: int) -> Draws:
        return self._drawn_for(epoch)[2] if self.training and self._looks_ahead else super().draws(epoch)

    def _drawn_for(self, epoch: int) -> tuple[int, torch.Tensor, Draws]:
        if self._ahead is None or self._ahead[0] != epoch:
            self._draw_ahead(epoch)
        assert self._ahead is not None
        return self._ahead

    def _draw_ahead(self, epoch: int) -> None:
        self._ahead = None  # first, because its pinned memory serves again; pinning more takes long
        order, draws = super().shuffled(epoch), super().draws(epoch)
        if self.placement.device.type == "cuda":
            order, draws = order.pin_memory(), draws.pin_memory()
        self._ahead = epoch, order, draws

    def _release(self) -> None:
        del self._canvas, self._labels
