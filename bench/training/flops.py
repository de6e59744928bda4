"""Floating-point operations of a network, counted by torch's dispatcher: a multiply-add is two.

What is counted are matrix products and convolutions. Norms, activations and pooling are not: they are few
operations, and wait for memory.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def count_flops(work: Callable[[], object]) -> int:
    """FLOPs of whatever `work` does, a backward pass included."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


@torch.no_grad()
def forward_flops(model: nn.Module, image: Tensor) -> int:
    """FLOPs of one forward pass for one image [1, C, H, W]; the model is left in training mode."""
    model.eval()
    flops = count_flops(lambda: model(image))
    model.train()
    return flops


def training_flops(forward: int, examples: int) -> int:
    """FLOPs of training on `examples` images, by the usual estimate of three forward passes each.

    The backward pass computes one product for the inputs' and one for the weights' gradients of each
    layer. A frozen first layer needs neither, so this is an upper bound for nets that have one.
    """
    return 3 * forward * examples
