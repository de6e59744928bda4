"""A learning rate that starts low, as in Goyal et al., arXiv 1706.02677."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.documents.numbers import Epochs, Fraction
from bench.documents.strict import Strict
from bench.ingredients.ingredient import Ingredient, RecipeFacts
from bench.training.schedules import Schedule, warmed_up

if TYPE_CHECKING:
    from bench.training.curriculum import Curriculum


class LrWarmUpConfig(Strict, Ingredient):
    """Multiplies the schedule by a line from `start` to 1 over the first epochs; the schedule stays where it is."""

    epochs: Epochs
    start: Fraction = 0.0

    def check(self, key: str, recipe: RecipeFacts) -> None:
        if self.epochs > recipe.epochs:
            raise ValueError(f"{key}.epochs: {self.epochs:g} is more than the {recipe.epochs:g} epochs")

    def change_schedule(self, schedule: Schedule, curriculum: Curriculum, epochs: float) -> Schedule:
        return warmed_up(schedule, curriculum.passes(self.epochs) / curriculum.passes(epochs), self.start)
