"""Smaller batches to begin with, cut from those that the loader delivers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from bench.documents.numbers import Count, TrainingShare
from bench.documents.strict import Strict
from bench.ingredients.image_sizes import check_ends
from bench.ingredients.ingredient import Ingredient, RecipeFacts


class BatchStage(Strict):
    """The examples of a step, until this share of the training."""

    examples: Count
    until: TrainingShare


class BatchSizesConfig(Strict, Ingredient):
    """Batches smaller than `batch_size` to begin with; `scale_lr` keeps the learning rate per example."""

    stages: Annotated[list[BatchStage], Field(min_length=1)]
    scale_lr: bool

    suits_text: ClassVar[bool] = False

    def check(self, key: str, recipe: RecipeFacts) -> None:
        check_ends(f"{key}.stages", [stage.until for stage in self.stages])
        for index, stage in enumerate(self.stages):
            if recipe.batch_size % stage.examples:
                raise ValueError(
                    f"{key}.stages.{index}.examples: {stage.examples} does not divide the batch_size of "
                    f"{recipe.batch_size}, which the loader delivers and the smaller batches are cut from"
                )

    def curriculum(self, recipe: RecipeFacts) -> dict[str, Any]:
        cuts = [(stage.until, recipe.batch_size // stage.examples) for stage in self.stages]
        return {"cuts": cuts, "scale_lr": self.scale_lr}
