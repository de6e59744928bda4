"""MNIST's digits pasted on CIFAR-10's photographs, with the class of each pixel: made by code, so that it is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.datasets.catalog import DATASETS
from bench.pipelines.datasets.options import check_published

_INFO = DATASETS["pasted_digits"]
DIGITS = 10
# The class of a photograph's pixels; those of digits follow. VOID is none.
PHOTOGRAPH, VOID = 0, 255
MOST_DIGITS = 3
# The side of a pasted digit, in pixels.
SMALLEST, LARGEST = 18, 28
# How far each colour channel of a digit is from grey, at least and at most.
LEAST_AWAY, MOST_AWAY = 80, 127
# The ink from which on a pixel belongs to the digit; with a void class, pixels with less ink, down to NO_INK, are void.
INK, NO_INK = 128, 32


def load_pasted_digits(mnist: Dataset, cifar10: Dataset, options: Mapping[str, Any]) -> Dataset:
    """Photographs with one to three digits of random size, place and colour; the last covers those before it.

    A pixel's class is 0 for the photograph, or 1 + the digit. With `void`, pixels at the edges of a digit belong to
    neither. Image i of a split is drawn from the i-th photograph, i and `seed` alone.

    Raises WrongOption for an unknown option or a value out of range.
    """
    check_published(_INFO, options)
    seed, void = options.get("seed", 0), options.get("void", False)
    train, test = (
        _pasted(photographs.take(slice(options.get(key, usual))), digits, (seed, index), void)
        for index, (photographs, digits, key, usual) in enumerate(
            (
                (cifar10.train, mnist.train, "train_count", _INFO.train_count),
                (cifar10.test, mnist.test, "test_count", _INFO.test_count),
            )
        )
    )
    return Dataset(
        f"{_INFO.name}{'-void' if void else ''}-{seed}",
        train,
        test,
        classes=1 + DIGITS,
        mean=cifar10.mean,
        std=cifar10.std,
        official=bool(mnist.official and cifar10.official),
        void=VOID if void else None,
    )


def _pasted(photographs: Split, digits: Split, key: tuple[int, int], void: bool) -> Split:
    images = photographs.images.copy()
    targets = np.full((len(images), *images.shape[2:]), PHOTOGRAPH, np.uint8)
    for index in range(len(images)):
        draws = np.random.default_rng([*key, index])
        for _ in range(draws.integers(1, MOST_DIGITS + 1)):
            _paste(images[index], targets[index], digits, draws, void)
    return Split(images, photographs.labels, targets)


def _paste(
    image: npt.NDArray[np.uint8], target: npt.NDArray[np.uint8], digits: Split, draws: np.random.Generator, void: bool
) -> None:
    """Draw a digit at random, and paste it into the image [3, H, W] and its target [H, W], in place."""
    number, side = int(draws.integers(len(digits))), int(draws.integers(SMALLEST, LARGEST + 1))
    top, left = (int(draws.integers(0, length - side + 1)) for length in target.shape)
    colour = 128 + draws.choice([-1, 1], 3) * draws.integers(LEAST_AWAY, MOST_AWAY + 1, 3)
    small = Image.fromarray(digits.images[number, 0]).resize((side, side), Image.Resampling.BILINEAR)
    ink, place = np.asarray(small), (slice(top, top + side), slice(left, left + side))
    under, share = image[:, *place], ink / np.float64(255)
    under[:] = np.rint(under * (1 - share) + colour[:, None, None] * share).astype(np.uint8)
    classes = target[place]
    classes[ink >= INK] = 1 + digits.labels[number]
    if void:
        classes[(ink >= NO_INK) & (ink < INK)] = VOID
