"""Lists of tensors that one operation works on at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor


def by_format(*lists: Sequence[Tensor]) -> list[tuple[list[Tensor], ...]]:
    """Parallel lists, split so that each part of the first has a single number format.

    On a GPU, a list of one format takes one kernel; a list of several takes a kernel for each tensor.
    """
    parts: dict[torch.dtype, tuple[list[Tensor], ...]] = defaultdict(lambda: tuple([] for _ in lists))
    for row in zip(*lists, strict=True):
        for part, tensor in zip(parts[row[0].dtype], row, strict=True):
            part.append(tensor)
    return list(parts.values())
