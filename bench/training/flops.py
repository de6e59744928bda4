"""Floating-point operations of a network, counted by torch's dispatcher; a multiply-add counts as two.

Only matrix products and convolutions count. Norms, activations and pooling have few operations and are limited by
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def count_flops(work: Callable[[], object]) -> int:
    """FLOPs of everything `work` does, including a backward pass."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


@contextmanager
def _untuned(model: nn.Module) -> Iterator[None]:
    """Without cuDNN's benchmark mode, which would take seconds to try all algorithms for a batch of one image.

    A recurrent network does without cuDNN: its products there are part of one operation that is not counted, and which
    refuses a backward pass in evaluation mode.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.enabled, cudnn.benchmark
    cudnn.enabled = cudnn.enabled and not any(isinstance(module, nn.RNNBase) for module in model.modules())
    cudnn.benchmark = False
    try:
        yield
    finally:
        cudnn.enabled, cudnn.benchmark = before


@torch.no_grad()
def forward_flops(model: nn.Module, image: Tensor) -> int:
    """FLOPs of one forward pass for one image [1, C, H, W]; the model is left in the mode that it was in."""
    was_training = model.training
    model.eval()
    with _untuned(model):
        flops = count_flops(lambda: model(image))
    model.train(was_training)
    return flops


def training_flops(model: nn.Module, image: Tensor, trained: Set[nn.Parameter]) -> int:
    """FLOPs of forward and backward pass for one image [1, C, H, W] if only these parameters are trained.

    The model is left in training mode with its gradients unchanged. The usual estimate of three forward passes is
    higher: a first layer needs no gradient for its input, and layers before all trained ones need none at all.
    """
    before = [(parameter, parameter.requires_grad, parameter.grad) for parameter in model.parameters()]
    for parameter, _, _ in before:
        parameter.requires_grad_(parameter in trained)
    # In evaluation mode, which has the same products, so that no statistics change.
    model.eval()
    with _untuned(model):
        flops = count_flops(lambda: model(image).float().sum().backward())
    model.train()
    for parameter, needed_gradient, gradient in before:
        parameter.requires_grad_(needed_gradient)
        parameter.grad = gradient
    return flops
