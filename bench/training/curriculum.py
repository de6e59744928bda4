"""The curriculum of a run: the steps of each batch, the image size, and which epochs are short.

Arithmetic alone.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.training.examples import Examples


@dataclass(frozen=True)
class Stage:
    """How a batch of the loader is trained on.

    It is cut into `steps` equal parts, one for each step. Its images are resized to a shorter side of `pixels`, with or
    without `antialias`; None keeps their size. `lr_factor` multiplies every learning rate.
    """

    pixels: int | None = None
    steps: int = 1
    lr_factor: float = 1.0
    antialias: bool = True

    def cut(self, batch: Examples) -> Iterator[Examples]:
        """The batch of each step. Raises ValueError if they would not be equal."""
        return batch.split(self.steps)


WHOLE = Stage()


@dataclass(frozen=True)
class ShortEpochs:
    """The epochs that show only the share `kept` of the images: from number `first` (from 0) until before `end`.

    With `every`, every n-th of them is whole, which renews the loss of every image.
    """

    kept: float
    first: int
    end: int | None = None
    every: int | None = None

    @classmethod
    def between(
        cls, start: float, until: float | None, epochs: float, kept: float, every: int | None = None
    ) -> ShortEpochs:
        """The epochs that begin after the share `start` of `epochs` epochs and before the share `until`."""
        first, end = (None if share is None else math.ceil(round(share * epochs, 6)) for share in (start, until))
        return cls(kept, first or 0, end, every)

    def share(self, epoch: int) -> float:
        """The share of the images that epoch number `epoch` shows, in (0, 1]."""
        later = epoch - self.first
        whole = later < 0 or (self.end is not None and epoch >= self.end)
        whole = whole or (self.every is not None and (later + 1) % self.every == 0)
        return 1.0 if whole else self.kept


class Curriculum:
    """The stages of a run of `epochs` passes over the data.

    `sizes` has (until, pixels) and `cuts` (until, steps for each batch), each in order of `until`, a share of the run's
    batches; after the last entry, images and batches are whole. With `scale_lr`, the learning rate of a smaller batch
    is reduced by the same factor. A batch is always the loader's, so that a pass over the data shows the same examples
    for any steps. `short` says which epochs have fewer batches.
    """

    def __init__(
        self,
        epochs: float,
        batches_per_epoch: int,
        sizes: Sequence[tuple[float, int]] = (),
        cuts: Sequence[tuple[float, int]] = (),
        scale_lr: bool = False,
        short: ShortEpochs | None = None,
        antialias: bool = True,
    ) -> None:
        self._batches_per_epoch, self._short = batches_per_epoch, short
        self.total_batches = math.ceil(round(self.passes(epochs) * batches_per_epoch, 6))
        size_ends, cut_ends = self._ends(sizes), self._ends(cuts)
        # The positions of changes, and the stage from there on.
        self.starts = sorted({0, *size_ends, *cut_ends} - {self.total_batches})
        self._stages = []
        for start in self.starts:
            size, cut = bisect_right(size_ends, start), bisect_right(cut_ends, start)
            steps = cuts[cut][1] if cut < len(cuts) else 1
            pixels = sizes[size][1] if size < len(sizes) else None
            lr_factor = 1 / steps if scale_lr else 1.0
            self._stages.append(Stage(pixels, steps, lr_factor, antialias or pixels is None))

    def batches_in(self, epoch: int) -> int:
        """The number of batches in epoch number `epoch` (from 0), unless the run ends within it."""
        share = self._short.share(epoch) if self._short else 1.0
        return max(round(share * self._batches_per_epoch), 1)

    def passes(self, epochs: float) -> float:
        """The first `epochs` epochs as passes over the data, fewer if some are short."""
        if self._short is None or epochs <= self._short.first:
            return epochs
        whole = math.floor(epochs)
        batches = sum(self.batches_in(epoch) for epoch in range(whole))
        return (batches + (epochs - whole) * self.batches_in(whole)) / self._batches_per_epoch

    def stage(self, batch: int) -> Stage:
        """The stage of batch number `batch`, counted from 0."""
        return self._stages[bisect_right(self.starts, batch) - 1]

    @property
    def total_steps(self) -> int:
        ends = [*self.starts[1:], self.total_batches]
        return sum(
            (end - start) * stage.steps for start, end, stage in zip(self.starts, ends, self._stages, strict=True)
        )

    @property
    def stages(self) -> list[Stage]:
        """Every stage that the run goes through, once."""
        return list(dict.fromkeys(self._stages))

    def _ends(self, stages: Sequence[tuple[float, int]]) -> list[int]:
        return [round(until * self.total_batches) for until, _ in stages]
