"""The loss that training minimises."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """Cross-entropy in fp32 of logits [B, classes]; `reduction` is `mean` or `sum` over the batch.

    For mixed images, their label counts for `share` and that in `others` for the rest.
    """

    label_smoothing: float = 0.0
    reduction: str = "mean"

    def __call__(self, logits: Tensor, labels: Tensor, others: Tensor | None = None, share: float = 1.0) -> Tensor:
        loss = self._cross_entropy(logits, labels, self.reduction)
        if others is None:
            return loss
        return share * loss + (1 - share) * self._cross_entropy(logits, others, self.reduction)

    def of_each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of every example, float32 [B]."""
        return self._cross_entropy(logits, labels, "none")

    def reduced(self, losses: Tensor) -> Tensor:
        """The reduction of the losses [B] of a batch."""
        return losses.sum() if self.reduction == "sum" else losses.mean()

    def _cross_entropy(self, logits: Tensor, labels: Tensor, reduction: str) -> Tensor:
        return F.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing, reduction=reduction)
