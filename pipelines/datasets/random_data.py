"""Noise of any shape and count, made from a seed, for measuring throughput."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import psutil

from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.datasets.catalog import DATASETS
from bench.pipelines.datasets.options import check_published
from bench.pipelines.errors import WrongOption

_INFO = DATASETS["random"]
MOST_PIXEL_CLASSES = 256


def load_random(options: Mapping[str, object]) -> Dataset:
    """Uniform pixels and labels. The same options give the same data.

    `shape` is [channels, height, width], default [3, 32, 32]; `classes` 10; `train_count` 50,000;
    `test_count` 10,000; `seed` 0. With `targets` each image has one: another image, or the class of each pixel. Raises
    WrongOption for an unknown name, a wrong type, a value out of range, or more pixels than this machine has memory
    for.
    """
    check_published(_INFO, options)
    wanted: dict[str, Any] = {
        "shape": _INFO.image_shape,
        "classes": _INFO.classes,
        "train_count": _INFO.train_count,
        "test_count": _INFO.test_count,
        "seed": 0,
    } | dict(options)
    shape, classes, seed = tuple(wanted["shape"]), wanted["classes"], wanted["seed"]
    counts = [wanted["train_count"], wanted["test_count"]]
    targets = wanted.get("targets")
    needed_bytes = sum(counts) * int(np.prod(shape)) * (2 if targets else 1)
    if targets == "classes" and classes > MOST_PIXEL_CLASSES:
        raise WrongOption(f"random: classes is {classes:,}; pixels are of {MOST_PIXEL_CLASSES} classes at most.")
    if needed_bytes > psutil.virtual_memory().total:
        raise WrongOption(
            f"random: {sum(counts):,} images of {shape} are {needed_bytes / 1e9:,.1f} GB, more than the "
            "memory of this machine. Choose a smaller shape, train_count or test_count."
        )
    rng = np.random.default_rng(seed)
    train, test = (_split(rng, count, shape, classes, targets) for count in counts)
    # Of the uniform distribution over 0..255, scaled to [0, 1].
    mean, std = 0.5, ((256**2 - 1) / 12) ** 0.5 / 255
    return Dataset(_INFO.name, train, test, classes, (mean,) * shape[0], (std,) * shape[0], official=False)


def _split(rng: np.random.Generator, count: int, shape: tuple[int, ...], classes: int, targets: str | None) -> Split:
    images, labels = rng.integers(0, 256, (count, *shape), np.uint8), rng.integers(0, classes, count, np.int64)
    if targets is None:
        return Split(images, labels)
    if targets == "images":
        return Split(images, labels, rng.integers(0, 256, images.shape, np.uint8))
    return Split(images, labels, rng.integers(0, classes, (count, *shape[1:])).astype(np.uint8))
