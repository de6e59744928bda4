"""Stand-ins for networks that earlier runs trained."""

from __future__ import annotations

import torch

from bench.measures import assembly
from bench.pipelines.dataset import Dataset
from bench.spec.recipe import Recipe
from bench.training.precision import Precision
from bench.training.trained_net import TrainedNet


def untrained_teacher(
    recipe: Recipe, data: Dataset, precision: Precision, memory_format: torch.memory_format
) -> dict[str, TrainedNet]:
    """A `nets` of `build_trainer` whose teacher is an untrained network of the recipe, drawn from the present state."""
    net = precision.prepare(assembly.build_model(recipe, data), memory_format).eval().requires_grad_(False)
    return {"teacher": TrainedNet(net, data.mean, data.std)}
