"""Floating-point operations of a network, counted by torch's dispatcher: a multiply-add is two.

What is counted are matrix products and convolutions. Norms, activations and pooling are not: they are few
operations, and wait for memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def count_flops(work: Callable[[], object]) -> int:
    """FLOPs of whatever `work` does, a backward pass included."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


@contextmanager
def _untuned() -> Iterator[None]:
    """Whatever cuDNN takes at once: for a batch of one image it would try all its algorithms, which takes seconds."""
    tunes = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = tunes


@torch.no_grad()
def forward_flops(model: nn.Module, image: Tensor) -> int:
    """FLOPs of one forward pass for one image [1, C, H, W]; the model is left in training mode."""
    model.eval()
    with _untuned():
        flops = count_flops(lambda: model(image))
    model.train()
    return flops


def training_flops(model: nn.Module, image: Tensor, trained: Set[nn.Parameter]) -> int:
    """FLOPs of forward and backward for one image [1, C, H, W], when these parameters are trained and no others.

    The model is left in training mode, and its gradients as they were. The usual estimate of three forward passes is
    more: a first layer needs no gradient for its input, and what comes before all that is trained needs none at all.
    """
    before = [(parameter, parameter.requires_grad, parameter.grad) for parameter in model.parameters()]
    for parameter, _, _ in before:
        parameter.requires_grad_(parameter in trained)
    # In evaluation, whose products are the same, so that no statistics are changed.
    model.eval()
    with _untuned():
        flops = count_flops(lambda: model(image).float().sum().backward())
    model.train()
    for parameter, needed_gradient, gradient in before:
        parameter.requires_grad_(needed_gradient)
        parameter.grad = gradient
    return flops
