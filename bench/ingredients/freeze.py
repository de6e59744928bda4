"""Stops training parts of a network after a share of the training; layers before them then need no gradients.

Source: Brock et al., FreezeOut (arXiv 1706.04983).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Field, RootModel

from bench.documents.strict import Strict
from bench.ingredients.ingredient import Ingredient, RecipeFacts
from bench.text.nearest import choices, did_you_mean

if TYPE_CHECKING:
    import torch
    from torch import nn


class FrozenPart(Strict):
    """A part of the network, by the name of its module, which is not trained after this share of the training."""

    part: str
    after: Annotated[float, Field(gt=0, lt=1)]


class FreezeConfig(RootModel[Annotated[list[FrozenPart], Field(min_length=1)]], Ingredient):
    model_config = ConfigDict(strict=True, frozen=True)

    def check(self, key: str, recipe: RecipeFacts) -> None:
        if recipe.compile or recipe.device_count > 1:
            raise ValueError(
                f"{key}: a compiled network would be compiled again, and several devices wait for the gradients "
                "that no longer come; leave out compile and devices"
            )

    def change_network(self, key: str, model: nn.Module) -> None:
        for index, frozen in enumerate(self.root):
            check_part(f"{key}.{index}.part", frozen.part, model)

    def optimizer_arguments(self, model: nn.Module, device: torch.device) -> dict[str, Any]:
        return {"freeze": {frozen.part: frozen.after for frozen in self.root}}

    @property
    def freezings(self) -> int:
        return len(self.root)


def check_part(key: str, part: str, model: nn.Module) -> None:
    """Raise `ImpossibleModel` if the network has no such module, or nothing in it is trained."""
    from bench.models import ImpossibleModel

    parts = [name for name, module in model.named_modules() if name and any(True for _ in module.parameters())]
    if part not in parts:
        top = [name for name in parts if name.count(".") < 2]
        raise ImpossibleModel(f"{key}: this network has no {part!r}{did_you_mean(part, parts)}; {choices(top, None)}")
