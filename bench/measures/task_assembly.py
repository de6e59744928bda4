"""Builds the trainer of a recipe with a task: the one place where its settings become objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from bench import models
from bench.errors import UsageError
from bench.host.clock import Clock
from bench.measures import assembly
from bench.pipelines.dataset import Dataset
from bench.pipelines.datasets import DATASETS
from bench.runs import weights_file
from bench.runs.weights import WeightsFile
from bench.runs.weights_file import Weights
from bench.spec.recipe import Recipe
from bench.tasks import TASKS
from bench.training.goal import Goal
from bench.training.loop import Batches, Report
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.task import Quality, Task, TaskParts, TrainedNet
from bench.training.task_trainer import Show, TaskTrainer


def build_task_trainer(
    recipe: Recipe,
    model: nn.Module,
    data: Dataset,
    precision: Precision,
    train: Batches,
    test: Batches,
    clock: Clock,
    seed: int,
    nets: Mapping[str, TrainedNet],
    report: Report = lambda _: None,
    show: Show = lambda *_: None,
) -> TaskTrainer:
    """A trainer of `model`, which is already on its device in `precision`, by the recipe's task."""
    task = recipe.task
    assert task is not None
    curriculum = assembly.build_curriculum(recipe, train.steps_per_epoch)

    def make_optimizers(net: nn.Module) -> Optimizers:
        device = precision.device.torch
        return assembly.build_optimizers(recipe, net, curriculum, train.steps_per_epoch, device, {})

    kind: type[Task] = TASKS.load(task.name)
    parts = TaskParts(model, data, test, precision, make_optimizers, seed, nets, curriculum.total_batches)
    made = kind(task, parts)
    return TaskTrainer(made, train, _goal(recipe, made.quality), clock, report, show)


def _goal(recipe: Recipe, quality: Quality) -> Goal:
    return Goal(
        epochs=recipe.epochs,
        target_quality=recipe.target_quality,
        lower_is_better=quality.better == "lower",
        stop_at_target=recipe.stop_at_target,
        eval_every_epochs=recipe.evaluation.every_epochs,
        first_eval_epoch=recipe.evaluation.first_epoch or 1,
    )


def trained_nets(
    files: Mapping[str, WeightsFile], recipe: Recipe, data: Dataset, precision: Precision
) -> dict[str, TrainedNet]:
    """The networks trained earlier, by the setting that names each.

    Raises `UsageError` for a file without weights, and for a network trained on other data than the recipe's.
    """
    return {key: _trained_net(f"task.{key}", file, recipe, data, precision) for key, file in files.items()}


def _trained_net(key: str, file: WeightsFile, recipe: Recipe, data: Dataset, precision: Precision) -> TrainedNet:
    weights = weights_file.load(file)
    named, seen = (_origin(weights, part) for part in ("model", "data"))
    if named is None or seen is None:
        raise UsageError(
            f"{key}: {file.path} does not say which network it is, or on which data it was trained; "
            "train it again by `bench run RECIPE --keep-weights`"
        )
    _check_seen(key, file, recipe, data, seen)
    name = named.pop("name")
    if name not in models.MODELS:
        raise UsageError(f"{key}: {file.path} is of {name}, a network of your own; name one of `bench list models`")
    channels, height, width = seen["image_shape"]
    # Its random start is not to change what the training draws.
    with torch.random.fork_rng([]):
        net = models.build(name, named, in_channels=channels, classes=seen["classes"], image_size=min(height, width))
    weights_file.put_into(net, weights, file.path)
    net.requires_grad_(False).eval().to(precision.device.torch)
    return TrainedNet(net, tuple(seen["mean"]), tuple(seen["std"]), weights.origin.get("run_id", ""))


def _check_seen(key: str, file: WeightsFile, recipe: Recipe, data: Dataset, seen: Mapping[str, Any]) -> None:
    """Raise `UsageError` if a network has seen other data than the recipe's, or than that of which these are made."""
    assert recipe.task is not None
    own = describe_data(recipe, data)
    info = DATASETS.get(own["name"])
    if info is not None and seen.get("name") in info.made_from:
        own |= {what: seen.get(what) for what in ("name", "classes")}
    if key.removeprefix("task.") in recipe.task.STARTS:
        seen = {**own, "image_shape": [(seen.get("image_shape") or [None])[0], *own["image_shape"][1:]]}
    for what in ("name", "image_shape", "classes"):
        if seen.get(what) != own[what]:
            raise UsageError(
                f"{key}: {file.path} was trained on other data: its {what} is {seen.get(what)}, and here {own[what]}; "
                "name a network that was trained on the data of this recipe"
            )


def describe_data(recipe: Recipe, data: Dataset) -> dict[str, Any]:
    """What kept weights say of the data that they were trained on."""
    return {
        "name": recipe.config()["data"]["name"],
        "image_shape": list(data.image_shape),
        "classes": data.classes,
        "mean": list(data.mean),
        "std": list(data.std),
    }


def _origin(weights: Weights, part: str) -> dict[str, Any] | None:
    found = json.loads(weights.origin.get(part, "null"))
    return found if isinstance(found, dict) else None
