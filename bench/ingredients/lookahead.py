"""Lookahead: slow weights that follow the fast ones and, every few steps, replace them.

Source: Zhang et al., arXiv 1907.08610; with airbench94's schedule the slow weights follow ever more slowly.
"""

from __future__ import annotations

import torch
from torch import nn

from bench.ingredients.lists import by_format


class Lookahead:
    """Every `every` steps slow ← fast + α·(slow − fast) and fast ← slow, with α = decay^every · progress³."""

    def __init__(self, model: nn.Module, every: int = 5, decay: float = 0.95) -> None:
        self._every, self._decay = every, decay**every
        fast = [value for value in model.state_dict().values() if value.is_floating_point()]
        self._pairs = by_format(fast, [value.clone() for value in fast])

    @torch.no_grad()
    def update(self, step: int, total_steps: int) -> None:
        """After step number `step`, counted from 1; at the last one the model gets the slow weights."""
        if step % self._every == 0:
            self._follow(self._decay * (step / total_steps) ** 3)
        if step == total_steps:
            self._follow(1.0)

    def _follow(self, keep: float) -> None:
        for fast, slow in self._pairs:
            torch._foreach_lerp_(slow, fast, 1 - keep)
            torch._foreach_copy_(fast, slow)
