"""An exponential moving average (EMA) of the weights, which is evaluated in their place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bench.ingredients.lists import by_format


class Ema:
    """average ← decay·average + (1 − decay)·weights at each step, done for `every` steps at once.

    It begins with the weights after the share `start` of the steps; until then the weights themselves are
    evaluated. The running statistics of batch norm are averaged with the weights, as if they were some. The
    average is kept in fp32, because half precision would round small changes away.
    Source: Polyak and Juditsky 1992, in the exponential form of Tarvainen and Valpola, arXiv 1703.01780.
    """

    def __init__(self, model: nn.Module, decay: float, every: int = 1, start: float = 0.0) -> None:
        weights = [value for value in model.state_dict().values() if value.is_floating_point()]
        self._pairs = by_format(weights, [value.float().clone() for value in weights])
        self._step_share = 1 - decay**every
        self._every, self._start = every, start
        self._begun = start == 0

    @torch.no_grad()
    def update(self, step: int, total_steps: int) -> None:
        """After step number `step`, counted from 1."""
        if step % self._every or step < self._start * total_steps:
            return
        for weights, average in self._pairs:
            if self._begun:
                torch._foreach_lerp_(average, _float(weights), self._step_share)
            else:
                torch._foreach_copy_(average, weights)
        self._begun = True

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model with the average for its weights, in place; afterwards with its own again."""
        if not self._begun:
            yield
            return
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
    """The same in fp32, all at once: values of one number format."""
    if values[0].dtype == torch.float32:
        return values
    converted = [torch.empty_like(value, dtype=torch.float32) for value in values]
    torch._foreach_copy_(converted, values)
    return converted
