"""A data set in memory: uint8 pixels, integer labels, and what they are worth as evidence."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bench.pipelines.errors import WrongOption


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, C, H, W] and labels int64 [N]; of a text, tokens [N, 1, 1, T] and int64 [N, T] or [N]."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """A train and a test split with the statistics that normalise them.

    `mean` and `std` are per channel, of pixels scaled to [0, 1].
    `official` is true only where the bytes were checked against the publisher's checksum, or made by code, and None
    where nobody publishes the data: it is a user's own.
    `streams` is of a text alone: so many texts lie beside one another, and so many rows are one piece of each.
    """

    name: str
    train: Split
    test: Split
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    official: bool | None
    streams: int | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def holding_out(self, count: int) -> Dataset:
        """The train split without its last `count` images, which become the test split.

        To choose hyper-parameters by, so that the real test split is left for the report. It is another data
        set, with a name of its own, and not official. Raises WrongOption where nothing would be left to train on.
        """
        kept = len(self.train) - count
        if count < 1 or kept < 1:
            raise WrongOption(
                f"{self.name}: held_out is {count:,}; give 1 to {len(self.train) - 1:,} of the training images."
            )
        images, labels = self.train.images, self.train.labels
        return replace(
            self,
            name=f"{self.name}-held-out-{count}",
            train=Split(images[:kept], labels[:kept]),
            test=Split(images[kept:], labels[kept:]),
            official=None if self.official is None else False,
        )

    def first(self, train_count: int | None = None, test_count: int | None = None) -> Dataset:
        """The first images of each split, all of a split whose count is None.

        For short trainings on real images. It is another data set, with a name of its own, and not official. Raises
        WrongOption for more images than there are.
        """
        for key, count, split in (("train_count", train_count, self.train), ("test_count", test_count, self.test)):
            if count is not None and not 1 <= count <= len(split):
                raise WrongOption(f"{self.name}: {key} is {count:,}; give 1 to {len(split):,}.")
        train, test = (
            Split(split.images[:count], split.labels[:count])
            for split, count in ((self.train, train_count), (self.test, test_count))
        )
        name = f"{self.name}-first-{len(train)}-{len(test)}"
        official = None if self.official is None else False
        return replace(self, name=name, train=train, test=test, official=official)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over shapes, pixels and labels of both splits: the same data, the same text."""
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            digest.update(repr(split.images.shape).encode())
            digest.update(np.ascontiguousarray(split.images).data)
            digest.update(np.ascontiguousarray(split.labels.astype("<i8")).data)
        return digest.hexdigest()
