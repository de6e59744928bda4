"""CIFAR-10's photographs, damaged: the image is the damaged one, and its target the whole one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.pipelines.damage import Damage
from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.datasets.catalog import DATASETS
from bench.pipelines.datasets.options import check_published
from bench.pipelines.errors import WrongOption

_INFO = DATASETS["damaged_cifar10"]


def load_damaged_cifar10(cifar10: Dataset, options: Mapping[str, Any]) -> Dataset:
    """The first images of each split, each with the damage that its number and `seed` give.

    Raises WrongOption for an unknown option, a value out of range, and no damage at all.
    """
    check_published(_INFO, options)
    jpeg = options.get("jpeg")
    damage = Damage(options.get("pixels"), options.get("number", False), tuple(jpeg) if jpeg else None)
    if damage == Damage():
        raise WrongOption(f"{_INFO.name}: say what the damage is, such as pixels: 16, number: true or jpeg: [10, 70].")
    seed = options.get("seed", 0)
    train, test = (
        _damaged(split.take(slice(options.get(key, usual))), damage, (seed, index))
        for index, (split, key, usual) in enumerate(
            (
                (cifar10.train, "train_count", _INFO.train_count),
                (cifar10.test, "test_count", _INFO.test_count),
            )
        )
    )
    name, official = f"{_INFO.name}-{damage.label}-{seed}", bool(cifar10.official)
    return Dataset(name, train, test, cifar10.classes, cifar10.mean, cifar10.std, official)


def _damaged(whole: Split, damage: Damage, key: tuple[int, int]) -> Split:
    images = np.stack([damage.apply(image, (*key, index)) for index, image in enumerate(whole.images)])
    return Split(images, whole.labels, whole.images)
