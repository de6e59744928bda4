"""A network compiled for inference, on a CPU with its weights as constants.

As constants, weights of convs lie in memory as oneDNN computes with them; else it rearranges them for each batch, which
takes longer than the conv of a single image.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn


def compiled(model: nn.Module, is_cuda: bool) -> Callable[[Tensor], Tensor]:
    """The network compiled for each batch size on its own, when it first gets one; with a CUDA graph on a GPU.

    On a CPU, call it within `constant_weights` and without gradients. The weights must not change afterwards.
    """
    options: dict[str, Any] = {"triton.cudagraphs": is_cuda}
    if not is_cuda:
        # The calls between kernels take microseconds less from C++ than from Python. Not frozen on a GPU: tracing has
        # made inputs of the weights, and the pass forgets that they stay in place, so that each replay would copy them.
        options |= {"freezing": True, "cpp_wrapper": True}
    # Not dynamic, because a network for all batch sizes is not the fastest for each.
    return torch.compile(model, dynamic=False, options=options)


def constant_weights(is_cuda: bool) -> AbstractContextManager[object]:
    """While it is entered, torch.compile takes weights as constants on a CPU.

    The option of that name comes too late, because tracing makes inputs of the weights without it.
    """
    if is_cuda:
        return nullcontext()
    from torch._inductor import config

    return config.patch(freezing=True)  # type: ignore[no-any-return]
