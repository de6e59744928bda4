"""CutMix: a rectangle of each image comes from another image of the batch, and so does its share of the label.

Source: Yun et al., arXiv 1905.04899, with one rectangle a batch, as in their code.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Mixed:
    """Images [B, C, H, W] of which the share `share` shows `labels`, and the rest `others` (int64 [B])."""

    images: Tensor
    labels: Tensor
    others: Tensor | None = None
    share: float = 1.0

    def split(self, parts: int) -> Iterator[Mixed]:
        """Equal parts of the batch, in order."""
        if parts == 1:
            yield self
            return
        others = self.others.chunk(parts) if self.others is not None else [None] * parts
        for images, labels, other in zip(self.images.chunk(parts), self.labels.chunk(parts), others, strict=True):
            yield Mixed(images, labels, other, self.share)


class CutMix:
    """Mixes a batch with the chance `probability`; the kept share is drawn from Beta(`alpha`, `alpha`).

    Each image gets its rectangle from the image before it, which is any image, since batches are shuffled.
    What is drawn depends on the seed and the step alone, on the host: nothing waits for the device.
    """

    def __init__(self, alpha: float = 1.0, probability: float = 0.5, seed: int = 0) -> None:
        self._alpha, self._probability, self._seed = alpha, probability, seed

    def __call__(self, batch: Mixed, step: float) -> Mixed:
        """The batch mixed with itself; `step` is when. What is given stays as it is."""
        draws, images = random.Random(f"cutmix {self._seed} {float(step)}"), batch.images
        if draws.random() >= self._probability:
            return batch
        height, width = images.shape[-2:]
        side = math.sqrt(1 - draws.betavariate(self._alpha, self._alpha))
        rows, columns = _span(draws, height, side), _span(draws, width, side)
        mixed = images.clone()
        mixed[1:, :, rows, columns] = images[:-1, :, rows, columns]
        mixed[0, :, rows, columns] = images[-1, :, rows, columns]
        cut = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
        return Mixed(mixed, batch.labels, batch.labels.roll(1), 1 - cut)


def _span(draws: random.Random, length: int, side: float) -> slice:
    """A share `side` of an axis around a uniform centre, clipped by the border."""
    covered, centre = int(length * side), draws.randrange(length)
    first = centre - covered // 2
    return slice(max(first, 0), min(first + covered, length))
