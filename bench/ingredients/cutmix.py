"""CutMix: a rectangle of each image comes from another image of the batch, and so does its share of the label.

Source: Yun et al., arXiv 1905.04899, with one rectangle a batch, as in their code.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from bench.documents.numbers import Fraction, Positive
from bench.documents.strict import Strict
from bench.ingredients.ingredient import Ingredient, TrainingParts
from bench.training.examples import Examples
from bench.training.hook import Hook


class CutMixConfig(Strict, Ingredient):
    alpha: Positive = 1.0
    probability: Fraction = 0.5

    suits_text: ClassVar[bool] = False
    why_no_graph: ClassVar[str | None] = "mixes each batch in another way"

    def hooks(self, parts: TrainingParts) -> Iterator[Hook]:
        import torch

        # The seed of the run as given to torch; each of several ranks has its own.
        yield CutMix(self.alpha, self.probability, torch.initial_seed())


class CutMix(Hook):
    """Mixes a batch with the chance `probability`; the kept share is drawn from Beta(`alpha`, `alpha`).

    Each image gets its rectangle from the image before it, which is random because batches are shuffled. Draws depend
    only on the seed and the step, and are made on the host, so nothing waits for the device.
    """

    def __init__(self, alpha: float = 1.0, probability: float = 0.5, seed: int = 0) -> None:
        self._alpha, self._probability, self._seed = alpha, probability, seed

    def mix(self, batch: Examples, position: float) -> Examples:
        draws, images = random.Random(f"cutmix {self._seed} {float(position)}"), batch.images
        if draws.random() >= self._probability:
            return batch
        height, width = images.shape[-2:]
        side = math.sqrt(1 - draws.betavariate(self._alpha, self._alpha))
        rows, columns = _span(draws, height, side), _span(draws, width, side)
        mixed = images.clone()
        mixed[1:, :, rows, columns] = images[:-1, :, rows, columns]
        mixed[0, :, rows, columns] = images[-1, :, rows, columns]
        cut = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
        return replace(batch, images=mixed, others=batch.labels.roll(1), share=1 - cut)


def _span(draws: random.Random, length: int, side: float) -> slice:
    """A share `side` of an axis around a uniform centre, clipped by the border."""
    covered, centre = int(length * side), draws.randrange(length)
    first = centre - covered // 2
    return slice(max(first, 0), min(first + covered, length))
