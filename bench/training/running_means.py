"""Means over an epoch of figures that stay on the device until they are asked for."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor


class RunningMeans:
    """The mean of each figure by its name, weighted by the examples that it is of."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = defaultdict(int)

    @torch.no_grad()
    def add(self, examples: int, **figures: Tensor) -> None:
        """Add figures, each a tensor [], of so many examples. Nothing waits for the device."""
        for name, value in figures.items():
            summed = value.detach().float() * examples
            self._sums[name] = self._sums[name] + summed if name in self._sums else summed
            self._counts[name] += examples

    def taken(self) -> dict[str, float]:
        """The means so far; afterwards there are none. Waits for the device."""
        means = {name: total.item() / self._counts[name] for name, total in self._sums.items()}
        self._sums.clear()
        self._counts.clear()
        return means
