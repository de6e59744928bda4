"""The examples of a training step, on their way from the loader to the loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """Images [B, C, H, W] and labels int64 [B]; of a text, tokens and the tokens that follow them, both int64 [B, T].

    `numbers`, int64 [B], identify the training images; None if not needed. In mixed images the share `share` belongs to
    `labels` and the rest to `others`, int64 [B].
    """

    images: Tensor
    labels: Tensor
    numbers: Tensor | None = None
    others: Tensor | None = None
    share: float = 1.0

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
        for rows in zip(self.images.chunk(parts), self.labels.chunk(parts), numbers, others, strict=True):
            yield Examples(*rows, self.share)
