"""Lookahead: slow weights that follow the fast ones and, every few steps, replace them.

Source: Zhang et al., arXiv 1907.08610; with airbench94's schedule the slow weights follow ever more slowly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bench.documents.numbers import Count, Fraction
from bench.documents.strict import Strict
from bench.ingredients.ingredient import Ingredient, TrainingParts
from bench.training.hook import Hook

if TYPE_CHECKING:
    from torch import Tensor, nn


class LookaheadConfig(Strict, Ingredient):
    every: Count = 5
    decay: Fraction = 0.95

    def hooks(self, parts: TrainingParts) -> Iterator[Hook]:
        yield Lookahead(parts.model, self.every, self.decay)


class Lookahead(Hook):
    """Every `every` steps slow ← fast + α·(slow − fast) and fast ← slow, with α = decay^every · progress³.

    At the last step the model gets the slow weights.
    """

    def __init__(self, model: nn.Module, every: int = 5, decay: float = 0.95) -> None:
        self._model, self._every, self._decay = model, every, decay**every
        self._pairs: list[tuple[list[Tensor], ...]] = []

    def begin(self) -> None:
        from bench.training.lists import by_format

        fast = [value for value in self._model.state_dict().values() if value.is_floating_point()]
        self._pairs = by_format(fast, [value.clone() for value in fast])

    def average_bytes(self) -> int:
        from bench.training.activations import tensor_bytes

        return sum(tensor_bytes(averages) for _, averages in self._pairs)

    def state(self) -> dict[str, Any]:
        return {"slow": [value for _, slow in self._pairs for value in slow]}

    def restore(self, saved: dict[str, Any]) -> None:
        from bench.training.state import put_each

        put_each([value for _, slow in self._pairs for value in slow], saved["slow"])

    def after_step(self, step: int, total_steps: int) -> None:
        if step % self._every == 0:
            self._follow(self._decay * (step / total_steps) ** 3)
        if step == total_steps:
            self._follow(1.0)

    def _follow(self, keep: float) -> None:
        import torch

        with torch.no_grad():
            for fast, slow in self._pairs:
                torch._foreach_lerp_(slow, fast, 1 - keep)
                torch._foreach_copy_(fast, slow)
