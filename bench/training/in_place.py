"""A network that begins anew in its own memory, where compiled programs and captured graphs look for it."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def become(model: nn.Module, fresh: nn.Module) -> None:
    """Give `model` the parameters, buffers and modes of `fresh`, a network built alike, which stays as it is.

    Gradients are dropped, and what was frozen is trained again where `fresh` trains it. What a module keeps in plain
    attributes is not reached. Raises ValueError for a network of another make.
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
