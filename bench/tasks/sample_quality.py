"""How good generated images are: how like test images, of which classes, and whether they were learnt by heart."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.pipelines.augment import seeded_generator
from bench.pipelines.dataset import Dataset
from bench.tasks.frechet import Moments, class_coverage, frechet_distance, seen
from bench.tasks.nearest import nearest_distances
from bench.tasks.pixels import pixels_of
from bench.training.trained_net import TrainedNet


class SampleScore:
    """Compares generated images with `count` test images, and the mean of `nearest` of them with all training images.

    `judge` is a classifier of the data. What real images reach themselves is measured once.
    """

    def __init__(self, judge: TrainedNet, data: Dataset, count: int, nearest: int, device: torch.device) -> None:
        self._judge, self._data, self._count, self._nearest, self._device = judge, data, count, nearest, device

    def figures(self, made: Tensor) -> dict[str, float]:
        """Of images [N, C, H, W] in [0, 1]: `frechet_distance`, `class_coverage` and `nearest_distance`.

        For comparison `training_frechet_distance`, that of training images to test images, and
        `held_out_nearest_distance`, that of test images to the nearest training image.
        """
        moments, of_real = self._real
        features, classes = seen(self._judge, made)
        return {
            "frechet_distance": frechet_distance(moments, Moments.of(features)),
            "class_coverage": class_coverage(classes, self._data.classes),
            "nearest_distance": self._nearest_distance(made),
            **of_real,
        }

    @cached_property
    def _real(self) -> tuple[Moments, dict[str, float]]:
        """The moments of the test images' features, and the figures of real images."""
        train, test = (self._some(split.images) for split in (self._data.train, self._data.test))
        moments = Moments.of(seen(self._judge, test).features)
        return moments, {
            "training_frechet_distance": frechet_distance(moments, Moments.of(seen(self._judge, train).features)),
            "held_out_nearest_distance": self._nearest_distance(test),
        }

    def _some(self, images: npt.NDArray[np.uint8]) -> Tensor:
        return pixels_of(self._data.without_margin(images[chosen(len(images), self._count)]), self._device)

    def _nearest_distance(self, images: Tensor) -> float:
        some = images[chosen(len(images), self._nearest)]
        return nearest_distances(some, self._data.without_margin(self._data.train.images)).mean().item()


def chosen(there: int, count: int) -> npt.NDArray[np.int64]:
    """The numbers of `count` of so many images, in order; all of them if there are fewer.

    By chance, because sets may be sorted by class, but always the same.
    """
    numbers = torch.randperm(there, generator=seeded_generator("chosen", there))[:count].sort().values
    return numbers.numpy()
