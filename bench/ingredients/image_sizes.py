"""Smaller images at the beginning of a training cost fewer FLOPs and show the same things more coarsely."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, RootModel

from bench.documents.limits import MOST_PIXELS
from bench.documents.numbers import TrainingShare
from bench.documents.strict import Strict
from bench.ingredients.ingredient import Ingredient, RecipeFacts


class SizeStage(Strict):
    """The shorter side of the images, until this share of the training."""

    pixels: Annotated[int, Field(gt=0, le=MOST_PIXELS)]
    until: TrainingShare


class ImageSizesConfig(RootModel[Annotated[list[SizeStage], Field(min_length=1)]], Ingredient):
    model_config = ConfigDict(strict=True, frozen=True)

    suits_text: ClassVar[bool] = False

    @property
    def pixels(self) -> list[int]:
        return [stage.pixels for stage in self.root]

    def check(self, key: str, recipe: RecipeFacts) -> None:
        check_ends(key, [stage.until for stage in self.root])

    def curriculum(self, recipe: RecipeFacts) -> dict[str, Any]:
        return {"sizes": [(stage.until, stage.pixels) for stage in self.root]}


class AntialiasConfig(RootModel[Literal[False]], Ingredient):
    """How image_sizes are resized: antialiased, a pixel is a mean of all that it covers; false is plain bilinear."""

    model_config = ConfigDict(strict=True, frozen=True)

    says_nothing: ClassVar[Any] = True

    def check(self, key: str, recipe: RecipeFacts) -> None:
        if "image_sizes" not in recipe.ingredients:
            raise ValueError(f"{key}: says how image_sizes are resized, and there are none; leave it out")

    def curriculum(self, recipe: RecipeFacts) -> dict[str, Any]:
        return {"antialias": False}


def check_ends(key: str, ends: list[float]) -> None:
    """Raise ValueError unless each stage ends after the one before it."""
    for index in range(1, len(ends)):
        if ends[index] <= ends[index - 1]:
            raise ValueError(
                f"{key}.{index}.until: {ends[index]} should come after {ends[index - 1]}, the end of the stage before"
            )
