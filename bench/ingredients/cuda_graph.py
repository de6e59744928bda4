"""Steps that are replayed as a CUDA graph, their kernels launched all at once (`bench.training.cuda_graph`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, RootModel

from bench.errors import UsageError
from bench.ingredients.ingredient import Ingredient, RecipeFacts

if TYPE_CHECKING:
    import torch
    from torch import nn


class CudaGraphConfig(RootModel[Literal[True]], Ingredient):
    model_config = ConfigDict(strict=True, frozen=True)

    says_nothing: ClassVar[Any] = False

    def check(self, key: str, recipe: RecipeFacts) -> None:
        if not recipe.warm_up_steps:
            raise ValueError(f"{key}: needs warm_up_steps of at least 1; the graph is captured in the warm-up")
        for other, why in _obstacles(recipe).items():
            raise ValueError(f"{key}: every step is the same to a graph, which does not go with {other}: {why}")

    def check_device(self, key: str, device: str) -> None:
        if device != "cuda":
            raise UsageError(
                f"{key}: only a CUDA device has graphs; leave it out on a CPU, or write it under on_cuda, as in "
                f"on_cuda: {{{key}: true}}"
            )

    def optimizer_arguments(self, model: nn.Module, device: torch.device) -> dict[str, Any]:
        return {"lr_on": device}


def _obstacles(recipe: RecipeFacts) -> dict[str, str]:
    """Why steps differ from each other, by the key that makes them so."""
    found = {key: one.why_no_graph for key, one in recipe.ingredients.items() if one.why_no_graph}
    if recipe.device_count > 1:
        found["devices"] = "several of them meet in each step"
    if recipe.precision in ("auto", "fp16"):
        found["precision"] = (
            "fp16, which auto means on a GPU, asks after each step whether it overflowed; take pure_fp16 or bf16"
        )
    if recipe.schedule_name in ("one_cycle", "fit_one_cycle"):
        found["schedule"] = f"{recipe.schedule_name} changes the momentum, and a graph keeps it"
    if counting := sorted({"adamw", "rmsprop"} & set(recipe.optimizer_names.values())):
        found["optimizer"] = f"{counting[0]} counts its steps on the host; take sgd or muon"
    return found
