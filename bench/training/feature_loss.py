"""A loss on what a trained network sees in two images, beside their pixels.

Sources: Johnson et al. (arXiv 1603.08155) for features, Gatys et al. (arXiv 1508.06576) for the Gram matrix; fast.ai,
Practical Deep Learning for Coders (2019), lesson 7, for their weights in super-resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Features = Callable[[Tensor], Sequence[Tensor]]


class FeatureLoss:
    """L1 of the pixels, and for each w of `weights`: w times the L1 of features, `gram` · w² times that of their Gram
    matrices.

    `features` maps images [B, C, H, W] to features [B, C, H, W] of several layers; its network is not trained.
    """

    def __init__(self, features: Features, weights: Sequence[float], gram: float = 1.0) -> None:
        self._features, self._weights, self._gram = features, weights, gram

    def __call__(self, made: Tensor, wanted: Tensor) -> Tensor:
        """The mean over the batch, float32 []."""
        loss = F.l1_loss(made.float(), wanted.float())
        with torch.no_grad():
            goals = self._features(wanted)
        for weight, seen, goal in zip(self._weights, self._features(made), goals, strict=False):
            loss = loss + weight * F.l1_loss(seen.float(), goal.float())
            loss = loss + self._gram * weight**2 * F.l1_loss(gram_matrix(seen), gram_matrix(goal))
        return loss


def gram_matrix(features: Tensor) -> Tensor:
    """How far channels are active together: X·Xᵀ / (C·H·W) of features [B, C, H, W], float32 [B, C, C]."""
    channels, height, width = features.shape[1:]
    # In half precision a sum over many pixels is coarse, and in fp16 it may be infinite.
    with torch.autocast(features.device.type, enabled=False):
        by_channel = features.float().flatten(2)
        return by_channel @ by_channel.transpose(1, 2) / (channels * height * width)


@torch.no_grad()
def feature_distance(made: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """The mean over layers of the L1 of their features [B, C, H, W], relative to the mean size of the wanted ones:
    float32 [B]."""
    by_layer = []
    for seen, goal in zip(made, wanted, strict=True):
        away, size = ((values.float().abs().mean(dim=(1, 2, 3))) for values in (seen - goal, goal))
        by_layer.append(away / size.clamp_min(1e-12))
    return torch.stack(by_layer).mean(dim=0)
