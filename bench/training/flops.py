"""Floating-point operations of a network, counted by torch's dispatcher: a multiply-add is two."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@torch.no_grad()
def forward_flops(model: nn.Module, image: Tensor) -> int:
    """FLOPs of one forward pass for one image [1, C, H, W]; the model is left in training mode."""
    model.eval()
    with FlopCounterMode(display=False) as counter:
        model(image)
    model.train()
    return int(counter.get_total_flops())


def training_flops(forward: int, examples: int) -> int:
    """FLOPs of training on `examples` images, by the usual estimate of three forward passes each.

    The backward pass computes one product for the inputs' and one for the weights' gradients of each
    layer. A frozen first layer needs neither, so this is an upper bound for nets that have one.
    """
    return 3 * forward * examples
