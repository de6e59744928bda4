"""Ghost batches: batch norm with the statistics of parts of a batch (Hoffer, Hubara and Soudry, arXiv 1705.08741)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import ConfigDict, Field, RootModel

from bench.documents.limits import MOST_COUNT
from bench.ingredients.ingredient import Ingredient

if TYPE_CHECKING:
    from torch import nn


class GhostBatchConfig(RootModel[Annotated[int, Field(ge=2, le=MOST_COUNT)]], Ingredient):
    """The number of examples that share statistics."""

    model_config = ConfigDict(strict=True, frozen=True)

    @property
    def least_examples(self) -> int:
        return self.root

    def change_network(self, key: str, model: nn.Module) -> None:
        from bench.ingredients.ghost_batch_norm import use_ghost_batches
        from bench.models import ImpossibleModel

        try:
            use_ghost_batches(model, self.root)
        except ValueError as error:
            raise ImpossibleModel(f"{key}: {error}") from None
