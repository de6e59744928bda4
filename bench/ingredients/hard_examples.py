"""Training on the hard examples alone: those whose loss was largest when they were last shown.

The loss is the one that the step computes anyway, so that choosing costs one sort an epoch and no forward pass. After
Jiang et al., Selective-Backprop (arXiv 1910.00762), in the form that goes by stale losses; theirs draws at random, the
likelier the larger the loss, where here the largest are taken. That the last epochs are whole is after Qin et al.,
InfoBatch (arXiv 2303.04947).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bench.pipelines.augment import sent


@dataclass(frozen=True)
class ShortEpochs:
    """Which epochs show the share `kept` of the images alone: from number `first`, counted from 0, to before `end`.

    With `every` each so many-th of them is whole, which renews the loss of every image.
    """

    kept: float
    first: int
    end: int | None = None
    every: int | None = None

    @classmethod
    def between(
        cls, start: float, until: float | None, epochs: float, kept: float, every: int | None = None
    ) -> ShortEpochs:
        """Those that begin when the share `start` of `epochs` epochs is over, and `until` is not."""
        first, end = (None if share is None else math.ceil(round(share * epochs, 6)) for share in (start, until))
        return cls(kept, first or 0, end, every)

    def share(self, epoch: int) -> float:
        """What epoch number `epoch` shows of the images, in (0, 1]."""
        later = epoch - self.first
        whole = later < 0 or (self.end is not None and epoch >= self.end)
        whole = whole or (self.every is not None and (later + 1) % self.every == 0)
        return 1.0 if whole else self.kept


class Shuffled(Protocol):
    """Batches whose images have numbers and can be chosen by them."""

    batch_size: int

    @property
    def steps_per_epoch(self) -> int: ...

    def shuffled(self, epoch: int) -> Tensor:
        """Every image, in the order of the epoch: int64 [images]."""

    def epoch(self, epoch: int, order: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
        """Images [B, C, H, W] and labels int64 [B] of the images `order`, batch after batch."""


class HardExamples:
    """The last loss of every image of `train`, on `device`: the host waits neither to note it nor to choose by it.

    An image that was never shown, because the last incomplete batch of an epoch is dropped, counts as hard. One that is
    left out keeps its loss, and comes back when others have become easier.
    """

    def __init__(self, train: Shuffled, device: torch.device) -> None:
        self._train = train
        self._losses = torch.full((len(train.shuffled(0)),), math.inf, device=device)

    def epoch(self, epoch: int, batches: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Images [B, C, H, W], labels and image numbers int64 [B] of each of `batches` batches of the epoch.

        Where these are fewer than an epoch's, the images are the hardest, in the order of the epoch.
        """
        size = self._train.batch_size
        order = sent(self._train.shuffled(epoch), self._losses.device)
        if batches < self._train.steps_per_epoch:
            order = self.hardest(order, batches * size)
        order = order[: batches * size]
        for (images, labels), numbers in zip(self._train.epoch(epoch, order), torch.split(order, size), strict=True):
            yield images, labels, numbers

    def hardest(self, numbers: Tensor, count: int) -> Tensor:
        """The `count` images with the largest loss among those with these numbers (int64), in their order.

        Of equal losses the first are taken, so that a seed repeats the choice.
        """
        by_loss = self._losses[numbers].argsort(descending=True, stable=True)
        return numbers[by_loss[:count].sort().values]

    def reset(self) -> None:
        """Forget every loss, in the same memory."""
        self._losses.fill_(math.inf)

    def note(self, numbers: Tensor, losses: Tensor) -> None:
        """Remember the losses [B] of the images with these numbers, int64 [B]."""
        self._losses.index_copy_(0, numbers, losses.float())
