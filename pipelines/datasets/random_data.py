"""Noise of any shape and count, made from a seed: for throughput alone, as it teaches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import psutil

from pipelines.dataset import Dataset, Split
from pipelines.datasets.catalog import DATASETS
from pipelines.errors import WrongOption

_INFO = DATASETS["random"]
_MAX_SIDE = 8192
_MAX_COUNT = 2**31 - 1


def load_random(options: Mapping[str, object]) -> Dataset:
    """Uniform pixels and labels. The same options give the same data.

    `shape` is [channels, height, width], default [3, 32, 32]; `classes` 10; `train_count` 50,000;
    `test_count` 10,000; `seed` 0. Raises WrongOption for an unknown name, a wrong type, a value out of
    range, or more pixels than this machine has memory for.
    """
    for name in options:
        if name not in _INFO.options:
            raise WrongOption.unknown("option of random data", name, _INFO.options)
    shape = _shape(options.get("shape", _INFO.image_shape))
    classes = _integer("classes", options.get("classes", _INFO.classes), 2, 1_000_000)
    counts = [
        _integer(name, options.get(name, default), 1, _MAX_COUNT)
        for name, default in (("train_count", _INFO.train_count), ("test_count", _INFO.test_count))
    ]
    seed = _integer("seed", options.get("seed", 0), 0, 2**63 - 1)
    needed_bytes = sum(counts) * int(np.prod(shape))
    if needed_bytes > psutil.virtual_memory().total:
        raise WrongOption(
            f"random: {sum(counts):,} images of {shape} are {needed_bytes / 1e9:,.1f} GB, more than the "
            "memory of this machine. Choose a smaller shape, train_count or test_count."
        )
    rng = np.random.default_rng(seed)
    train, test = (
        Split(rng.integers(0, 256, (count, *shape), np.uint8), rng.integers(0, classes, count, np.int64))
        for count in counts
    )
    # Of the uniform distribution over 0..255, scaled to [0, 1].
    mean, std = 0.5, ((256**2 - 1) / 12) ** 0.5 / 255
    return Dataset(_INFO.name, train, test, classes, (mean,) * shape[0], (std,) * shape[0], official=False)


def _shape(value: Any) -> tuple[int, int, int]:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise WrongOption(f"random: shape is {value!r}; give [channels, height, width].")
    channels, height, width = (_integer("shape", side, 1, _MAX_SIDE) for side in value)
    return channels, height, width


def _integer(name: str, value: Any, lowest: int, highest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise WrongOption(f"random: {name} has {value!r}; give a whole number from {lowest:,} to {highest:,}.")
    return value
