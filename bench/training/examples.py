"""The examples of a training step, on their way from the loader to the loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SoftLabels:
    """Labels that give each class a probability: float32 [B, classes], of logits divided by `temperature`.

    The loss counts them for `share`, and the labels of the data for the rest.
    """

    probabilities: Tensor
    temperature: float = 1.0
    share: float = 1.0

    def split(self, parts: int) -> Iterator[SoftLabels]:
        for rows in self.probabilities.chunk(parts):
            yield replace(self, probabilities=rows)


@dataclass(frozen=True)
class Examples:
    """Images [B, C, H, W] and labels int64 [B]; of a text, tokens and the tokens that follow them, both int64 [B, T].

    `numbers`, int64 [B], identify the training images; None if not needed. In mixed images the share `share` belongs to
    `labels` and the rest to `others`, int64 [B]. `soft_labels` are what another network answered, if one was asked.
    """

    images: Tensor
    labels: Tensor
    numbers: Tensor | None = None
    others: Tensor | None = None
    share: float = 1.0
    soft_labels: SoftLabels | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def tensors(self) -> list[Tensor]:
        """The inputs of a captured step: images, labels, and numbers if known."""
        return [self.images, self.labels] if self.numbers is None else [self.images, self.labels, self.numbers]

    def split(self, parts: int) -> Iterator[Examples]:
        """Equal parts, in order. Raises ValueError if they would not be equal."""
        if parts == 1:
            yield self
            return
        if len(self) % parts:
            raise ValueError(f"a batch of {len(self)} cannot be cut into {parts} equal parts")
        nothing = [None] * parts
        numbers = nothing if self.numbers is None else self.numbers.chunk(parts)
        others = nothing if self.others is None else self.others.chunk(parts)
        soft = nothing if self.soft_labels is None else self.soft_labels.split(parts)
        rows = zip(self.images.chunk(parts), self.labels.chunk(parts), numbers, others, soft, strict=True)
        for images, labels, numbered, other, answers in rows:
            yield Examples(images, labels, numbered, other, self.share, answers)
