"""A data set in memory: uint8 pixels, integer labels, and whether they are the published ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bench.pipelines.errors import WrongOption


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, C, H, W] and labels int64 [N]; of a text, tokens [N, 1, 1, T] and int64 [N, T] or [N].

    `targets` are what a network should make of each image: uint8 [N, H, W], the class of each pixel, or [N, C, H, W],
    an image.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    targets: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: slice | npt.NDArray[np.int64]) -> Split:
        """The examples of these rows."""
        targets = None if self.targets is None else self.targets[rows]
        return Split(self.images[rows], self.labels[rows], targets)


@dataclass(frozen=True)
class Dataset:
    """A train and a test split with the statistics that normalise them.

    `mean` and `std` are per channel, of pixels scaled to [0, 1]. `official` is true only if the bytes were checked
    against the publisher's checksum or made by code. It is None for a user's own data, which nobody publishes.
    `streams`, only for a text, is the number of parallel texts; that many consecutive rows hold one piece of each.
    `void` is the value of pixels that belong to no class: nothing is learnt from them, and they are not judged.
    `paired`, only for images of two domains (labels 0 and 1), says whether the k-th test images of both show the same,
    so that the true translation is known. `margin_pixels` on each side are stored beyond `image_shape`; a translation
    uncovers them.
    """

    name: str
    train: Split
    test: Split
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    official: bool | None
    streams: int | None = None
    void: int | None = None
    paired: bool | None = None
    margin_pixels: int = 0

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height - 2 * self.margin_pixels, width - 2 * self.margin_pixels

    def without_margin(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The middle of stored images [N, C, H, W], as a test shows them."""
        margin, (height, width) = self.margin_pixels, images.shape[2:]
        return images[:, :, margin : height - margin, margin : width - margin]

    def holding_out(self, count: int) -> Dataset:
        """The train split without its last `count` images, which become the test split.

        For choosing hyper-parameters without using the real test split. The result is another data set with its own
        name and is not official. Raises WrongOption if nothing would be left to train on.
        """
        kept = len(self.train) - count
        if count < 1 or kept < 1:
            raise WrongOption(
                f"{self.name}: held_out is {count:,}; give 1 to {len(self.train) - 1:,} of the training images."
            )
        return replace(
            self,
            name=f"{self.name}-held-out-{count}",
            train=self.train.take(slice(kept)),
            test=self.train.take(slice(kept, None)),
            official=None if self.official is None else False,
        )

    def of_class(self, label: int) -> Dataset:
        """The images with this label alone, in both splits; the classes are still counted as those of all.

        It is another data set, with a name of its own, and not official. Raises WrongOption if a split has none.
        """
        train, test = (split.take(np.flatnonzero(split.labels == label)) for split in (self.train, self.test))
        if not len(train) or not len(test):
            raise WrongOption(f"{self.name}: only_class is {label}, of which there are no images in a split.")
        official = None if self.official is None else False
        return replace(self, name=f"{self.name}-class-{label}", train=train, test=test, official=official)

    def first(self, train_count: int | None = None, test_count: int | None = None) -> Dataset:
        """The first images of each split, or all of a split if its count is None.

        For short trainings on real images. It is another data set, with a name of its own, and not official. Raises
        WrongOption for more images than there are.
        """
        for key, count, split in (("train_count", train_count, self.train), ("test_count", test_count, self.test)):
            if count is not None and not 1 <= count <= len(split):
                raise WrongOption(f"{self.name}: {key} is {count:,}; give 1 to {len(split):,}.")
        train, test = self.train.take(slice(train_count)), self.test.take(slice(test_count))
        name = f"{self.name}-first-{len(train)}-{len(test)}"
        official = None if self.official is None else False
        return replace(self, name=name, train=train, test=test, official=official)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over shapes, pixels, labels and targets of both splits; equal data gives equal text."""
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            digest.update(repr(split.images.shape).encode())
            digest.update(np.ascontiguousarray(split.images).data)
            digest.update(np.ascontiguousarray(split.labels.astype("<i8")).data)
            if split.targets is not None:
                digest.update(repr((split.targets.shape, self.void)).encode())
                digest.update(np.ascontiguousarray(split.targets).data)
        return digest.hexdigest()
