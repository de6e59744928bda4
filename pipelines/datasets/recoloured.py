"""MNIST and a recoloured MNIST: two domains without pairs, for translation, of which the true translation is known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.datasets.catalog import DATASETS

_INFO = DATASETS["mnist_recoloured"]
# RGB of paper and ink. They differ in every channel, so that the way back is known too.
COLOURS = {"coloured": ((250, 210, 60), (40, 20, 140)), "inverted": ((255, 255, 255), (0, 0, 0))}


def load_recoloured(mnist: Dataset, options: Mapping[str, object]) -> Dataset:
    """White digits on black (label 0), and digits in the colours of `to` (label 1, default `coloured`), in turns.

    Of the training images the first half of MNIST's are of the one domain and the second half of the other, so that no
    digit is in both. The test images are all of MNIST's in both domains: `recoloured` of one is the next.
    """
    to = str(options.get("to", "coloured"))
    half = len(mnist.train) // 2
    train = in_turns(mnist.train.images[:half], recoloured(mnist.train.images[half : 2 * half], to))
    test = in_turns(mnist.test.images, recoloured(mnist.test.images, to))
    name = _INFO.name if to == "coloured" else f"{_INFO.name}-{to}"
    return Dataset(name, train, test, _INFO.classes, (0.5,) * 3, (0.5,) * 3, mnist.official, paired=True)


def recoloured(grey: npt.NDArray[np.uint8], to: str) -> npt.NDArray[np.uint8]:
    """Grey images [N, 1, H, W] in RGB [N, 3, H, W]: black becomes the paper of `to`, and white its ink."""
    paper, ink = (np.array(colour, np.float32).reshape(3, 1, 1) for colour in COLOURS[to])
    return np.rint(paper + (ink - paper) * (grey.astype(np.float32) / 255)).astype(np.uint8)


def in_turns(grey: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> Split:
    """Grey images [N, 1, H, W] as RGB (label 0), behind each one of the others [N, 3, H, W] (label 1)."""
    both = np.stack([np.repeat(grey, 3, axis=1), others], axis=1)
    return Split(both.reshape(-1, *others.shape[1:]), np.tile(np.arange(2, dtype=np.int64), len(others)))
