"""Checkpoints: the state of a training is written down after some of its epochs, so that an interrupted run can go on.

They change nothing in what is trained, and cost time, which some rule books count; a recipe with them is therefore
another cell. `bench.runs.checkpoint` keeps them, and `bench run --resume` goes on from one.
"""

from __future__ import annotations

from bench.documents.numbers import Count
from bench.documents.strict import Strict
from bench.ingredients.ingredient import Ingredient, RecipeFacts


class CheckpointConfig(Strict, Ingredient):
    """`bench run --resume` continues an interrupted run from its last checkpoint, bit for bit."""

    every_epochs: Count = 1
    """Write one after every so many epochs; after the last epoch there is none."""

    def check(self, key: str, recipe: RecipeFacts) -> None:
        if self.every_epochs >= recipe.epochs:
            raise ValueError(
                f"{key}.every_epochs: the first checkpoint would come after epoch {self.every_epochs}, and the "
                f"training has {recipe.epochs:g}; take a smaller number, or leave {key} out"
            )
