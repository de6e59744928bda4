"""Training only on the hard examples: those whose loss was largest when they were last shown.

The loss is computed by the step anyway, so choosing costs one sort for each epoch and no forward pass. After Jiang et
al., Selective-Backprop (arXiv 1910.00762), in the form with stale losses; theirs draws at random with a probability
that grows with the loss, while here the largest are taken. The whole epochs at the end follow Qin et al., InfoBatch
(arXiv 2303.04947).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, Self, runtime_checkable

from pydantic import Field, model_validator

from bench.documents.limits import MOST_COUNT
from bench.documents.numbers import TrainingShare
from bench.documents.strict import Strict
from bench.ingredients.ingredient import Ingredient, RecipeFacts, TrainingParts
from bench.training.curriculum import ShortEpochs
from bench.training.examples import Examples
from bench.training.hook import Hook

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class DropEasyConfig(Strict, Ingredient):
    """After the share `start` of the epochs, each epoch shows the share `kept` of the images: the hardest by their last
    loss.

    Epochs after the share `until` are whole again, because hard images have other labels and batch-norm statistics than
    the test images. With `every`, every n-th of the short epochs is whole too.
    """

    kept: Annotated[float, Field(gt=0, lt=1)]
    start: Annotated[float, Field(ge=0, lt=1)]
    until: TrainingShare | None = None
    every: Annotated[int, Field(ge=2, le=MOST_COUNT)] | None = None

    suits_text: ClassVar[bool] = False

    @model_validator(mode="after")
    def _ends_later(self) -> Self:
        if self.until is not None and self.until <= self.start:
            raise ValueError(f"drop_easy.until: {self.until} should come after {self.start}, the start")
        return self

    def check(self, key: str, recipe: RecipeFacts) -> None:
        if "cutmix" in recipe.ingredients:
            raise ValueError(
                f"{key}: the loss of an image that cutmix made of two does not say how hard either is; leave one out"
            )
        if recipe.device_count > 1:
            raise ValueError(
                f"{key}: each device knows the losses of its own images alone, and all would have to choose alike; "
                f"leave out devices or {key}"
            )

    def curriculum(self, recipe: RecipeFacts) -> dict[str, Any]:
        return {"short": ShortEpochs.between(self.start, self.until, recipe.epochs, self.kept, self.every)}

    def hooks(self, parts: TrainingParts) -> Iterator[Hook]:
        # If steps are only counted, there are no images to choose from.
        if isinstance(parts.train, Shuffled):
            yield HardExamples(parts.train, parts.precision.device.torch)


@runtime_checkable
class Shuffled(Protocol):
    """Batches whose images can be selected by number."""

    batch_size: int

    @property
    def steps_per_epoch(self) -> int: ...

    def shuffled(self, epoch: int) -> Tensor:
        """Every image, in the order of the epoch: int64 [images]."""

    def epoch(self, epoch: int, order: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
        """Images [B, C, H, W] and labels int64 [B] of the images `order`, batch after batch."""


class HardExamples(Hook):
    """The last loss of every image of `train`, kept on `device`, so that the host never waits for it.

    An image that was never shown, because the last incomplete batch of an epoch is dropped, counts as hard. An image
    that is left out keeps its loss and returns when others have become easier.
    """

    def __init__(self, train: Shuffled, device: torch.device) -> None:
        import torch

        self._train = train
        self._losses = torch.full((len(train.shuffled(0)),), math.inf, device=device)

    def epoch(self, epoch: int, batches: int) -> Iterator[Examples]:
        """The batches of an epoch; if they are fewer than usual, those of the hardest images, in the order of the
        epoch."""
        import torch

        from bench.pipelines.augment import sent

        size = self._train.batch_size
        order = sent(self._train.shuffled(epoch), self._losses.device)
        if batches < self._train.steps_per_epoch:
            order = self.hardest(order, batches * size)
        order = order[: batches * size]
        for (images, labels), numbers in zip(self._train.epoch(epoch, order), torch.split(order, size), strict=True):
            yield Examples(images, labels, numbers)

    def hardest(self, numbers: Tensor, count: int) -> Tensor:
        """The `count` images with the largest loss among `numbers` (int64), in their order.

        Among equal losses the first are taken, so that a seed reproduces the choice.
        """
        by_loss = self._losses[numbers].argsort(descending=True, stable=True)
        return numbers[by_loss[:count].sort().values]

    def note(self, numbers: Tensor, losses: Tensor) -> None:
        self._losses.index_copy_(0, numbers, losses.float())

    @contextmanager
    def forgotten(self) -> Iterator[None]:
        yield
        self._losses.fill_(math.inf)

    def state(self) -> dict[str, Any]:
        return {"losses": self._losses}

    def restore(self, saved: dict[str, Any]) -> None:
        from bench.training.state import put_each

        put_each([self._losses], [saved["losses"]])

    def take_over(self, before: Self) -> None:
        self._losses = before._losses
        self._losses.fill_(math.inf)
