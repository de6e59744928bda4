"""The interface of all loaders: batches on the device, epoch by epoch."""

from __future__ import annotations

import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import torch

from bench.pipelines.augment import Augment, Draws, seeded_generator
from bench.pipelines.augmentations import Augmentation
from bench.pipelines.dataset import Dataset
from bench.pipelines.errors import WrongOption

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Placement:
    """Where batches go and in which form; `compiled` lets torch.compile render them with one kernel."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    memory_format: torch.memory_format = torch.channels_last
    compiled: bool = False


@dataclass(frozen=True)
class Shard:
    """The part of every batch that a loader delivers: number `index` (from 0) of `count` equal ones."""

    index: int = 0
    count: int = 1


def usable_cores() -> int:
    """The cores that this process may use; a container or `taskset` can restrict them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Loader(ABC):
    """Normalised images [B, C, H, W] and labels int64 [B], both on the placement's device.

    A train loader shuffles, augments and drops the last incomplete batch; a test loader does none of these. Epoch `e`
    of two loaders made with the same arguments gives the same batches in the same order with the same augmentation,
    independent of earlier epochs. All loaders share the draws, so they differ only in speed.

    A shard of a train loader delivers its part of each batch: the parts of a step, concatenated, are the batch that a
    single loader with `count` times the batch size would deliver, including augmentation, which is drawn by image and
    not by batch. A shard of a test loader delivers consecutive images; shards differ by at most one image, and together
    they show each image once.
    """

    # Whether it delivers tokens instead of images.
    reads_text = False
    # Whether it delivers targets instead of labels.
    reads_targets = False
    # Whether it cuts the margin from stored images.
    cuts_margin = False
    # Applied to each batch of images after the loader's own augmentation; each shard draws for itself.
    then: tuple[Augmentation, ...] = ()

    def __init__(
        self,
        dataset: Dataset,
        split: Literal["train", "test"],
        batch_size: int,
        augment: Augment,
        placement: Placement,
        seed: int,
        workers: int | None = None,
        cache: Path | None = None,
        shard: Shard | None = None,
    ) -> None:
        """`batch_size` is that of the shard. If `workers` is None, the loader chooses; `cache` is a folder for
        converted data.

        Raises WrongOption for a batch size that gives no batch, and for an augmentation that does not fit the images.
        """
        self.dataset, self.placement, self.seed = dataset, placement, seed
        self.workers, self.cache = workers, cache
        self.shard = shard = shard or Shard()
        self.training = split == "train"
        self.images = dataset.train if self.training else dataset.test
        self.augment = augment if self.training else Augment()
        self.augment.check_fits(*dataset.image_shape[1:])
        self.batch_size = batch_size
        self._closed = False
        self._drawn: weakref.ref[Generator[Batch, None, None]] | None = None
        if batch_size < 1 or (self.training and batch_size * shard.count > self.examples):
            most = f"to {self.examples}, the images of {dataset.name!r}" if self.training else "or more"
            allowed = f"a {split} loader allows 1 {most}"
            if shard.count > 1:
                raise WrongOption(f"batch size is {batch_size} on each of {shard.count} devices; {allowed} in all")
            raise WrongOption(f"batch size is {batch_size}; {allowed}")
        if (dataset.streams is not None) != self.reads_text:
            what, loader = ("a text", "tokens") if dataset.streams else ("images", "resident, ffcv or torch")
            raise WrongOption(f"loader: {dataset.name} is {what}; write loader: {loader}")
        if (dataset.train.targets is not None) != self.reads_targets:
            wrong, loader = ("has no targets", "resident") if self.reads_targets else ("has targets", "pairs")
            raise WrongOption(f"loader: {dataset.name} {wrong}; write loader: {loader}")
        if dataset.margin_pixels and not self.cuts_margin:
            raise WrongOption(
                f"loader: {dataset.name} is cropped, which this loader does not do; write loader: resident, or for a "
                "translation between two domains unpaired"
            )
        if workers is not None and workers < 0:
            raise WrongOption(f"workers is {workers}; allowed: 0 or more, or none to let the loader choose")

    @property
    def examples(self) -> int:
        """The examples of an epoch on all shards together."""
        return len(self.images)

    @property
    def steps_per_epoch(self) -> int:
        if self.training:
            return self.examples // (self.batch_size * self.shard.count)
        first, end = self._test_range()
        return -(-(end - first) // self.batch_size)

    def warm_up(self) -> None:
        """Pay one-time costs (JIT compilation, starting workers) outside an epoch."""
        next(self.epoch(0), None)

    def epoch(self, epoch: int, order: torch.Tensor | None = None) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0; it may be left early.

        `order`, int64 [images] on any device, replaces `order(epoch)`. Only one epoch is drawn at a time: starting
        another ends the previous one. Raises RuntimeError after the loader is closed.
        """
        if self._closed:
            raise RuntimeError(f"the loader of {self.dataset.name!r} is closed")
        self._end_epoch()
        batches = self._batches(epoch, self.order(epoch) if order is None else order)
        if self.then:
            batches = self._augmented_further(batches, epoch)
        # Weak, so that an epoch ends as soon as its consumer drops it.
        self._drawn = weakref.ref(batches)
        return batches

    def reseed(self, seed: int) -> None:
        """From now on deliver the batches of a loader made with this seed; an epoch in progress ends."""
        self._end_epoch()
        self.seed = seed

    def close(self) -> None:
        """Release workers, threads and memory; no epoch can be drawn afterwards."""
        if not self._closed:
            self._closed = True
            self._end_epoch()
            self._release()

    @abstractmethod
    def _batches(self, epoch: int, order: torch.Tensor) -> Generator[Batch, None, None]:
        """The batches of the images `order`, augmented by `draws(epoch)`."""

    def _augmented_further(self, batches: Generator[Batch, None, None], epoch: int) -> Generator[Batch, None, None]:
        """The batches after applying `then`, with random draws that depend only on seed, epoch, step and shard."""
        device = self.placement.device
        # Else all parts of a step would get the same noise.
        part = (self.shard.index,) if self.shard.index else ()
        with closing(batches):
            for step, (images, labels) in enumerate(batches):
                with torch.random.fork_rng([device] if device.type == "cuda" else []):
                    torch.manual_seed(seeded_generator(self.seed, epoch, step, "then", *part).initial_seed())
                    for change in self.then:
                        images = change(images)
                yield images, labels

    def _release(self) -> None:
        """The work of `close`, done once, when no epoch is being drawn."""

    def _end_epoch(self) -> None:
        batches = self._drawn() if self._drawn else None
        if batches is not None:
            batches.close()

    def order(self, epoch: int) -> torch.Tensor:
        """Which images the epoch shows, in order: int64 [steps_per_epoch * batch_size], less in a test's end."""
        return self._own_part(self.shuffled(epoch)) if self.training else self._test_order()

    def _own_part(self, shuffled: torch.Tensor) -> torch.Tensor:
        """This shard's images of all those of an epoch, without those of the last incomplete batch."""
        steps, shard = self.steps_per_epoch, self.shard
        whole_batches = shuffled[: steps * shard.count * self.batch_size]
        return whole_batches.view(steps, shard.count, self.batch_size)[:, shard.index].flatten()

    def _test_order(self) -> torch.Tensor:
        return torch.arange(*self._test_range())

    def shuffled(self, epoch: int) -> torch.Tensor:
        """All training images in the order of the epoch, including those of the last incomplete batch: int64
        [images]."""
        return torch.randperm(len(self.images), generator=seeded_generator(self.seed, epoch, "order"))

    def _test_range(self) -> tuple[int, int]:
        """The first test example of this shard, and the one after the last."""
        index, count = self.shard.index, self.shard.count
        return index * self.examples // count, (index + 1) * self.examples // count

    def draws(self, epoch: int) -> Draws:
        """The augmentation of every image of the split, by its index."""
        height, width = self.dataset.image_shape[1:]
        return self.augment.draw(self.seed, epoch, len(self.images), height, width)

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
