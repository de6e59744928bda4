"""An exponential moving average (EMA) of the weights, which is evaluated in their place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bench.documents.numbers import Count, Kept
from bench.documents.strict import Strict
from bench.ingredients.ingredient import Ingredient, TrainingParts
from bench.training.hook import Hook

if TYPE_CHECKING:
    from torch import Tensor, nn


class EmaConfig(Strict, Ingredient):
    """An average of the weights that is evaluated in their place; `start` is the share of training before it."""

    decay: Kept
    every: Count = 1
    start: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def hooks(self, parts: TrainingParts) -> Iterator[Hook]:
        yield Ema(parts.model, self.decay, self.every, self.start)


class Ema(Hook):
    """average ← decay·average + (1 − decay)·weights at each step, done for `every` steps at once.

    It begins with the weights after the share `start` of the steps; before that, the weights themselves are evaluated.
    The running statistics of batch norm are averaged like weights. The average is kept in fp32, because half precision
    would round small changes away. Source: Polyak and Juditsky 1992, in the exponential form of Tarvainen and Valpola,
    arXiv 1703.01780.
    """

    def __init__(self, model: nn.Module, decay: float, every: int = 1, start: float = 0.0) -> None:
        self._model, self._step_share = model, 1 - decay**every
        self._every, self._start = every, start
        self._pairs: list[tuple[list[Tensor], ...]] = []
        self._begun = False

    def begin(self) -> None:
        from bench.training.lists import by_format

        weights = [value for value in self._model.state_dict().values() if value.is_floating_point()]
        self._pairs = by_format(weights, [value.float().clone() for value in weights])
        self._begun = self._start == 0

    def average_bytes(self) -> int:
        from bench.training.activations import tensor_bytes

        return sum(tensor_bytes(averages) for _, averages in self._pairs)

    def state(self) -> dict[str, Any]:
        return {"begun": self._begun, "averages": [value for _, average in self._pairs for value in average]}

    def restore(self, saved: dict[str, Any]) -> None:
        from bench.training.state import put_each

        self._begun = saved["begun"]
        put_each([value for _, average in self._pairs for value in average], saved["averages"])

    def after_step(self, step: int, total_steps: int) -> None:
        if step % self._every or step < self._start * total_steps:
            return
        import torch

        with torch.no_grad():
            for weights, average in self._pairs:
                if self._begun:
                    torch._foreach_lerp_(average, _float(weights), self._step_share)
                else:
                    torch._foreach_copy_(average, weights)
        self._begun = True

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        if not self._begun:
            yield
            return
        import torch

        with torch.no_grad():
            own = [[value.clone() for value in weights] for weights, _ in self._pairs]
            for weights, average in self._pairs:
                torch._foreach_copy_(weights, average)
            try:
                yield
            finally:
                for (weights, _), before in zip(self._pairs, own, strict=True):
                    torch._foreach_copy_(weights, before)


def _float(values: list[Tensor]) -> list[Tensor]:
    """The values, all of one number format, in fp32."""
    import torch

    if values[0].dtype == torch.float32:
        return values
    converted = [torch.empty_like(value, dtype=torch.float32) for value in values]
    torch._foreach_copy_(converted, values)
    return converted
