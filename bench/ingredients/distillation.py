"""Distillation: a network learns what one that was trained earlier, its teacher, answers to the same images.

Source: Hinton et al., Distilling the Knowledge in a Neural Network (arXiv 1503.02531). The teacher sees each batch as
the network does, augmented and mixed, as in Beyer et al., Knowledge distillation: A good teacher is patient and
consistent (arXiv 2106.05237).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from bench.documents.kept_net import KeptNet
from bench.documents.numbers import Positive
from bench.documents.strict import Strict
from bench.ingredients.ingredient import Ingredient, TrainingParts
from bench.training.examples import Examples, SoftLabels
from bench.training.hook import Hook

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.training.precision import Precision


class DistillationConfig(Strict, Ingredient):
    """What the teacher answers counts for the share `share` of the loss, and the labels of the data for the rest.

    Both networks' logits are divided by `temperature`. With `mirror`, the answer is the mean over the image and its
    mirror image.
    """

    teacher: KeptNet
    """A recipe, whose newest run that kept its weights is taken; or a run's id, or a file of weights."""
    temperature: Positive = 1.0
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    mirror: bool = False

    NETS: ClassVar[tuple[str, ...]] = ("teacher",)
    suits_text: ClassVar[bool] = False
    why_no_graph: ClassVar[str | None] = "asks another network about each batch"
    not_counted: ClassVar[str | None] = "the forward passes of its teacher, which a training does count"

    def hooks(self, parts: TrainingParts) -> Iterator[Hook]:
        # A recipe is also counted and profiled, where its teacher may be missing.
        if (teacher := parts.nets.get("teacher")) is not None:
            yield Distillation(teacher.net, parts.precision, self.temperature, self.share, self.mirror)


class Distillation(Hook):
    """Adds to each batch what `teacher` answers, and counts the images that it was asked about, by pixels."""

    def __init__(
        self,
        teacher: nn.Module,
        precision: Precision,
        temperature: float = 1.0,
        share: float = 1.0,
        mirror: bool = False,
    ) -> None:
        self._teacher, self._precision = teacher, precision
        self._temperature, self._share, self._mirror = temperature, share, mirror
        self._asked: Counter[int] = Counter()

    def mix(self, batch: Examples, position: float) -> Examples:
        self._asked[min(batch.images.shape[-2:])] += len(batch)
        probabilities = (self._logits(batch.images) / self._temperature).softmax(1)
        return replace(batch, soft_labels=SoftLabels(probabilities, self._temperature, self._share))

    def _logits(self, images: Tensor) -> Tensor:
        import torch

        from bench.training import evaluation

        with torch.no_grad(), self._precision.autocast():
            return evaluation.logits(self._teacher, images, tta=1 if self._mirror else 0)

    def flops(self, image: Tensor) -> int:
        from bench.training.flops import forward_flops
        from bench.training.sizes import resized

        views = 2 if self._mirror else 1
        return sum(
            views * images * forward_flops(self._teacher, resized(image, pixels))
            for pixels, images in self._asked.items()
        )

    @contextmanager
    def forgotten(self) -> Iterator[None]:
        yield
        self._asked.clear()

    def state(self) -> dict[str, Any]:
        return {"asked": dict(self._asked)}

    def restore(self, saved: Mapping[str, Any]) -> None:
        self._asked = Counter(saved["asked"])
