"""The loss that training minimises."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from bench.training.examples import SoftLabels


@dataclass(frozen=True)
class Loss:
    """Cross-entropy in fp32 of logits [B, classes]; `reduction` is `mean` or `sum` over the batch.

    For mixed images, their label counts for `share` and that in `others` for the rest. The part of soft labels is
    multiplied by the square of their temperature, so that its gradients are as large as without one (Hinton et al.,
    arXiv 1503.02531).
    """

    label_smoothing: float = 0.0
    reduction: str = "mean"

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        others: Tensor | None = None,
        share: float = 1.0,
        soft_labels: SoftLabels | None = None,
    ) -> Tensor:
        loss = self._cross_entropy(logits, labels, self.reduction)
        if others is not None:
            loss = share * loss + (1 - share) * self._cross_entropy(logits, others, self.reduction)
        return _with_soft(loss, logits, soft_labels, self.reduction)

    def of_each(self, logits: Tensor, labels: Tensor, soft_labels: SoftLabels | None = None) -> Tensor:
        """The loss of every example, float32 [B]."""
        return _with_soft(self._cross_entropy(logits, labels, "none"), logits, soft_labels, "none")

    def reduced(self, losses: Tensor) -> Tensor:
        """The reduction of the losses [B] of a batch."""
        return losses.sum() if self.reduction == "sum" else losses.mean()

    def _cross_entropy(self, logits: Tensor, labels: Tensor, reduction: str) -> Tensor:
        return F.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing, reduction=reduction)


def _with_soft(loss: Tensor, logits: Tensor, soft: SoftLabels | None, reduction: str) -> Tensor:
    """The loss with the share of the soft labels, if there are any."""
    if soft is None:
        return loss
    of_soft = F.cross_entropy(logits.float() / soft.temperature, soft.probabilities, reduction=reduction)
    return (1 - soft.share) * loss + soft.share * soft.temperature**2 * of_soft
