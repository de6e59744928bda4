"""Gradient accumulation: a batch goes through the network in equal parts, one after the other, to save memory."""

from __future__ import annotations

from pydantic import ConfigDict, RootModel

from bench.documents.numbers import Count
from bench.ingredients.ingredient import Ingredient, RecipeFacts


class AccumulateConfig(RootModel[Count], Ingredient):
    """The number of parts."""

    model_config = ConfigDict(strict=True, frozen=True)

    def check(self, key: str, recipe: RecipeFacts) -> None:
        for size_key, size in recipe.step_sizes.items():
            part = recipe.of_one_device(size)
            if not part % self.root:
                continue
            if recipe.device_count > 1:
                raise ValueError(
                    f"{key}: {self.root} equal parts cannot be made of the {part} examples that each of "
                    f"{recipe.device_count} devices gets of {size_key}"
                )
            raise ValueError(f"{key}: {self.root} equal parts cannot be made of a {size_key} of {part}")
