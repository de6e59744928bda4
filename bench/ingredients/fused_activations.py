"""Batch norms in one with the activations after them, on a CPU (`bench.ingredients.activated_norm`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, RootModel

from bench.ingredients.ingredient import Ingredient
from bench.ingredients.on_cpu import on_cpu

if TYPE_CHECKING:
    from torch import nn


class FusedActivationsConfig(RootModel[Literal[True, "auto"]], Ingredient):
    """`auto` fuses them only if a C++ compiler is found."""

    model_config = ConfigDict(strict=True, frozen=True)

    says_nothing: ClassVar[Any] = False

    def speed_up(self, key: str, model: nn.Module, device: str) -> dict[str, Any]:
        """Raises `UsageError` and `MissingError` if the recipe requires it and it is impossible here."""
        from bench.ingredients.activated_norm import fuse_norms

        return on_cpu(key, lambda: {key: fuse_norms(model)}, device, optional=self.root is not True)
