"""When and how a training is evaluated."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bench.documents.limits import MOST_COUNT
from bench.documents.numbers import Count
from bench.documents.strict import Strict


class EvaluationConfig(Strict):
    """`tta` is the level of test-time augmentation of the final evaluation, `epoch_tta` that of evaluations between
    epochs.

    With `tta_below`, only images whose first view gives no class this probability get further views. Label smoothing s
    keeps probabilities below about 1 - s, so the value should be well below that. There is no evaluation before epoch
    `first_epoch`, counted from 1. With `equal_views` the answer is the plain mean of all views; otherwise level 2 gives
    the image and its mirror image twice the weight of the other views.
    """

    tta: Literal[0, 1, 2] = 0
    """Test-time augmentation of the final evaluation: none, mirror image, or shifts too."""
    epoch_tta: Literal[0, 1, 2] = 0
    """The same for evaluations between epochs."""
    tta_below: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Give further views only to images whose first view gives no class this probability."""
    every_epochs: Annotated[int, Field(ge=0, le=MOST_COUNT)] = 1
    """Evaluate after every so many epochs; 0 only at the end."""
    first_epoch: Count | None = None
    """No evaluation before this epoch."""
    batch_size: Count = 1000
    """Images of an evaluation batch."""
    equal_views: Literal[True] | None = None
    """Weight all views of level 2 equally."""

    @model_validator(mode="after")
    def _below_is_of_some_level(self) -> Self:
        if self.tta_below is not None and not self.tta and not self.epoch_tta:
            raise ValueError("evaluation.tta_below: says who gets further views; it needs tta or epoch_tta of 1 or 2")
        if self.equal_views and 2 not in (self.tta, self.epoch_tta):
            raise ValueError(
                "evaluation.equal_views: the views of level 1 are equal already; needs tta or epoch_tta of 2"
            )
        return self
