"""The loss in a recipe."""

from __future__ import annotations

from typing import Literal

from bench.documents.numbers import Fraction
from bench.documents.strict import Strict


class LossConfig(Strict):
    label_smoothing: Fraction = 0.0
    """Share of the label spread over all classes."""
    reduction: Literal["mean", "sum"] = "mean"
    """Mean or sum over the batch."""
