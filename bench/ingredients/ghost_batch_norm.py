"""Ghost batch norm: statistics over parts of a batch, so that a large batch regularises like a small one.

Source: Hoffer, Hubara and Soudry, arXiv 1705.08741.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GhostBatchNorm2d(nn.BatchNorm2d):
    """Replaces `norm`, keeping its parameters and statistics; normalises `size` examples at a time.

    A batch that `size` does not divide is cut into nearly equal parts, none smaller than `size`. The running statistics
    for evaluation are updated once for each batch, by `momentum` towards the mean of the parts' means and variances, so
    that their pace does not depend on `size`, unlike in the paper.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor | None
    momentum: float

    def __init__(self, norm: nn.BatchNorm2d, size: int) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self._parameters, self._buffers = norm._parameters, norm._buffers
        self.training = norm.training
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] in, the same out."""
        parts = len(x) // self.size
        if not self.training or parts < 2:
            return super().forward(x)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        means, variances = self.running_mean.repeat(parts, 1), self.running_var.repeat(parts, 1)
        size, larger = divmod(len(x), parts)
        # Not tensor_split, whose backward pass makes a whole batch of zeros for each part, and loses channels_last.
        split = torch.split(x, [size + 1] * larger + [size] * (parts - larger))
        normalised = [
            F.batch_norm(part, mean, variance, self.weight, self.bias, True, self.momentum, self.eps)
            for part, mean, variance in zip(split, means, variances, strict=True)
        ]
        self.running_mean.copy_(means.mean(0))
        self.running_var.copy_(variances.mean(0))
        return torch.cat(normalised)


def use_ghost_batches(model: nn.Module, size: int) -> None:
    """Replace every `BatchNorm2d` in `model` by a `GhostBatchNorm2d`.

    Raises ValueError for a model without batch norms, or with one that has no running statistics or cumulative ones.
    """
    norms = {module for module in model.modules() if isinstance(module, nn.BatchNorm2d)}
    if not norms:
        raise ValueError("this model has no BatchNorm2d to replace; set it to null")
    if any(norm.running_mean is None or norm.momentum is None for norm in norms):
        raise ValueError("needs batch norms with running statistics and a momentum")
    ghosts = {norm: GhostBatchNorm2d(norm, size) for norm in norms}
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if child in ghosts:
                setattr(parent, name, ghosts[child])
