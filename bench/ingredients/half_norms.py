"""Batch norm in half precision, like the weights."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, RootModel

from bench.ingredients.ingredient import Ingredient, RecipeFacts


class HalfNormsConfig(RootModel[Literal[True]], Ingredient):
    """With pure_fp16 and pure_bf16, whose batch norms are otherwise in fp32; implemented by `Precision`."""

    model_config = ConfigDict(strict=True, frozen=True)

    says_nothing: ClassVar[Any] = False

    def check(self, key: str, recipe: RecipeFacts) -> None:
        if not recipe.precision.startswith("pure_"):
            raise ValueError(
                f"{key}: {recipe.precision} keeps weights in fp32, and batch norm with them; "
                f"set precision to pure_fp16 or pure_bf16, or leave {key} out"
            )
