"""Layer-wise rates: the first layers of a network learn slower than the last.

Source: Howard and Ruder, Universal Language Model Fine-tuning for Text Classification (arXiv 1801.06146), section 3.2;
the sliced rates of fast.ai's library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bench.documents.limits import MOST_COUNT
from bench.documents.numbers import Positive
from bench.documents.strict import Strict
from bench.ingredients.ingredient import Ingredient

if TYPE_CHECKING:
    import torch
    from torch import nn


class LayerRatesConfig(Strict, Ingredient):
    """`first` is the rate of the first layers relative to that of the last; rates between rise geometrically.

    The layers, in the network's order, are divided into `groups` with one rate each; null means a group for each layer.
    """

    first: Positive
    groups: Annotated[int, Field(ge=2, le=MOST_COUNT)] | None = None

    def change_network(self, key: str, model: nn.Module) -> None:
        """Raises `ImpossibleModel` for more groups than layers; the network stays as it is."""
        from bench.models import ImpossibleModel

        try:
            rate_factors(model, self.first, self.groups)
        except ValueError as error:
            raise ImpossibleModel(f"{key}.{error}") from None

    def optimizer_arguments(self, model: nn.Module, device: torch.device) -> dict[str, Any]:
        return {"rate_factors": rate_factors(model, self.first, self.groups)}


def rate_factors(model: nn.Module, first: float, groups: int | None = None) -> dict[nn.Parameter, float]:
    """The factor on the rate of each parameter: `first` in the first group of layers, 1 in the last.

    A layer is a module with parameters of its own. Raises ValueError for more groups than layers, or a single layer.
    """
    layers = [parameters for module in model.modules() if (parameters := list(module.parameters(recurse=False)))]
    count = groups or len(layers)
    if not 2 <= count <= len(layers):
        raise ValueError(f"groups: {count} groups cannot be made of {len(layers)} layers")
    factors: dict[nn.Parameter, float] = {}
    for index, parameters in enumerate(layers):
        group = index * count // len(layers)
        for parameter in parameters:
            factors.setdefault(parameter, first ** (1 - group / (count - 1)))
    return factors
