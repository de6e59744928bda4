"""Layer-wise rates: the first layers of a network learn slower than the last.

Source: Howard and Ruder, Universal Language Model Fine-tuning for Text Classification (arXiv 1801.06146), section 3.2;
the sliced rates of fast.ai's library.
"""

from __future__ import annotations

from torch import nn


def rate_factors(model: nn.Module, first: float, groups: int | None = None) -> dict[nn.Parameter, float]:
    """By what the rate of each parameter is multiplied: `first` in the first group of layers, 1 in the last.

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
