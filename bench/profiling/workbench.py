"""A recipe's parts in this process, for commands that examine a training step instead of running a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from bench import models
from bench.errors import UsageError
from bench.host.clock import Clock
from bench.measures import assembly
from bench.measures.base import as_refusal, made_up_batch
from bench.pipelines.dataset import Dataset
from bench.pipelines.loader import Loader, Placement
from bench.spec.recipe import Recipe
from bench.training.device import Device
from bench.training.loop import Batches
from bench.training.precision import Precision
from bench.training.trainer import Trainer


class Workbench:
    """Device, precision and network of a recipe for data of a shape; the network is on the device.

    Raises `UsageError` for a network that cannot be built and for a recipe with a task, `MissingError` if there is no
    such device.
    """

    def __init__(self, recipe: Recipe, device: str, data: Dataset, seed: int = 0) -> None:
        if recipe.task is not None:
            raise UsageError(
                f"task: {recipe.task.name} has steps of several kinds, which are not examined one by one; "
                "`bench run RECIPE --measure throughput` times them"
            )
        self.recipe, self.data = recipe, data
        self.device = Device(device, recipe.threads)
        assembly.prepare_process(recipe, device)
        self.precision = Precision(recipe.precision, self.device, half_norms=bool(recipe.half_norms))
        self.placement = Placement(
            self.device.torch, self.precision.inputs, assembly.MEMORY_FORMATS[recipe.memory_format]
        )
        torch.manual_seed(seed)
        with refusals():
            models.check_options(recipe.model.name, recipe.model.options)
            self.model: nn.Module = assembly.build_model(recipe, data)
            assembly.speed_up(recipe, self.model, device)
            assembly.init_from_data(self.model, data, self.device.torch)
        self.precision.prepare(self.model, self.placement.memory_format)

    @cached_property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Noise images [size, C, H, W] and labels int64 [size], as a loader would deliver them."""
        return made_up_batch(size, self.data, self.placement)

    def loader(self, split: Literal["train", "test"], cache: Path) -> Loader:
        """The recipe's loader of a split, which the caller closes; it may keep converted data in `cache`."""
        return assembly.build_loader(self.recipe, self.data, split, self.placement, 0, self.recipe.workers, cache)

    def trainer(self, train: Batches, fused: bool | None = None) -> Trainer:
        """The recipe's trainer, neither compiled nor captured, so that its steps can be examined."""
        plain = self.recipe.model_copy(update={"compile": False, "cuda_graph": None})
        return assembly.build_trainer(
            plain, self.model, self.precision, train, train, Clock(), lambda _: None, fused=fused, data=self.data
        )


def at_full_size(recipe: Recipe) -> Recipe:
    """The recipe with all steps alike: one device, the largest images and batch, and no accumulation.

    Recipes with stages start small, so their first step says little about the others.
    """
    alike = {"image_sizes": None, "batch_sizes": None, "accumulate": None, "devices": None, "batch_per": None}
    return recipe.model_copy(update=alike | {"batch_size": recipe.of_one_device(recipe.batch_size)})


@contextmanager
def refusals() -> Iterator[None]:
    """Convert errors of models and pipelines about a user's mistake to the error that a command prints."""
    try:
        yield
    except Exception as error:
        refusal = as_refusal(error)
        if refusal is None or refusal is error:
            raise
        raise refusal from None
