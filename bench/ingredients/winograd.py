"""Winograd's form of the convs that a max-pooling follows, on a CPU (`bench.ingredients.pooled_conv`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, RootModel

from bench.errors import MissingError, UsageError
from bench.ingredients.ingredient import Ingredient

if TYPE_CHECKING:
    from torch import nn


class WinogradConfig(RootModel[Literal[True, "auto"]], Ingredient):
    """`auto` uses it only if a C++ compiler is found."""

    model_config = ConfigDict(strict=True, frozen=True)

    says_nothing: ClassVar[Any] = False

    def speed_up(self, key: str, model: nn.Module, device: str) -> dict[str, Any]:
        """Raises `UsageError` and `MissingError` if the recipe requires it and it is impossible here."""
        from bench.ingredients.pooled_conv import use_winograd

        if device != "cpu":
            if self.root == "auto":
                return {key: 0}
            raise UsageError(f"{key}: it is made for a CPU; write {key}: auto, or leave it out on a GPU")
        try:
            return {key: use_winograd(model)}
        except MissingError as error:
            if self.root == "auto":
                return {key: 0, f"{key}_lacks": str(error)}
            raise MissingError(f"{key}: {error}; {key}: auto goes without") from None
