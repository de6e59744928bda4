"""Resets a network in its own memory, which compiled programs and captured graphs use."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def become(model: nn.Module, fresh: nn.Module) -> None:
    """Give `model` the parameters, buffers and modes of `fresh`, a network of the same structure, which is not
    modified.

    Gradients are dropped, and frozen parameters are trained again if `fresh` trains them. Plain attributes of modules
    are not reset. Raises ValueError for a network of another structure.
    """
    for own, other in zip(model.modules(), fresh.modules(), strict=True):
        if type(own) is not type(other):
            raise ValueError(f"a {type(own).__name__} cannot become a {type(other).__name__}")
        own.training = other.training
        for parameter, drawn in zip(own.parameters(recurse=False), other.parameters(recurse=False), strict=True):
            parameter.copy_(drawn)
            parameter.requires_grad_(drawn.requires_grad)
            parameter.grad = None
        for buffer, value in zip(own.buffers(recurse=False), other.buffers(recurse=False), strict=True):
            buffer.copy_(value)
