"""Winograd's form of 3×3 convs on a CPU (`bench.ingredients.winograd_tiles`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, RootModel

from bench.ingredients.ingredient import Ingredient
from bench.ingredients.on_cpu import on_cpu

if TYPE_CHECKING:
    from torch import nn


class WinogradConfig(RootModel[Literal[True, "auto", "fused", "every", "large"]], Ingredient):
    """Of the convs that a max-pooling follows; `auto` only if a C++ compiler is found, and so do the others.

    `fused` computes those of few channels in one pass over the images where the machine has AVX512-BF16
    (`bench.ingredients.narrow_conv`); `every` does so, and takes convs of many channels without a pooling too; `large`
    does what `every` does, with tiles of 4×4 outputs where they save multiplications.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    says_nothing: ClassVar[Any] = False

    def speed_up(self, key: str, model: nn.Module, device: str) -> dict[str, Any]:
        """Raises `UsageError` and `MissingError` if the recipe requires it and it is impossible here."""
        return on_cpu(key, lambda: self._replace(key, model), device, optional=self.root is not True)

    def _replace(self, key: str, model: nn.Module) -> dict[str, Any]:
        from bench.ingredients.pooled_conv import use_winograd
        from bench.ingredients.winograd_conv import use_winograd_alone
        from bench.ingredients.winograd_tiles import TiledConv

        if self.root in (True, "auto"):
            return {key: use_winograd(model)}
        large = self.root == "large"
        facts = {key: use_winograd(model, fused=True, large=large)}
        if self.root != "fused":
            facts[f"{key}_alone"] = use_winograd_alone(model, large)
        if large:
            facts[f"{key}_large"] = sum(isinstance(one, TiledConv) and one.large for one in model.modules())
        return facts | {f"{key}_fused": sum(isinstance(one, TiledConv) and one.in_one_pass for one in model.modules())}
