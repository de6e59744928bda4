"""torch.compile for networks: a program for each shape of a batch and each set of trained parameters."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import nn


def load_compiler() -> None:
    """Import what the first call of torch.compile imports, which takes seconds."""
    torch.compile(nn.Identity())


def compiled(forward: nn.Module, shapes: int, freezings: int = 0, **options: Any) -> nn.Module:
    """The network compiled for this many shapes of training batches; `freezings` is how often fewer parameters are
    trained.

    Every program is for one shape. A program for any batch size is slower, and torch would make one as soon as the last
    batch of a test set is smaller than the others. `options` are torch.compile's own.
    """
    dynamo = torch._dynamo.config
    # Training, and evaluation of whole batches and of the last one; each is compiled again when fewer parameters are
    # trained. If a program breaks into parts, those of all modules of a kind share one limit, beyond which torch falls
    # back to eager.
    kinds = Counter(type(module) for module in forward.modules())
    programs = 3 * (shapes + freezings) * max(kinds.values())
    dynamo.recompile_limit = max(dynamo.recompile_limit, programs)
    dynamo.accumulated_recompile_limit = max(dynamo.accumulated_recompile_limit, programs)
    # With it torch 2.6 to 2.11 take a parameter for unchanged whose requires_grad_ was called (pytorch #139476).
    if hasattr(dynamo, "skip_tensor_guards_with_matching_dict_tags"):
        dynamo.skip_tensor_guards_with_matching_dict_tags = False
    return torch.compile(forward, dynamic=False, **options)  # type: ignore[return-value]
