"""Networks trained earlier, loaded from their weights for a training that uses them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch

from bench import models
from bench.errors import UsageError
from bench.measures import assembly
from bench.pipelines.dataset import Dataset
from bench.pipelines.datasets import DATASETS
from bench.runs import weights_file
from bench.runs.weights import WeightsFile
from bench.runs.weights_file import Weights
from bench.spec import kept_nets
from bench.spec.recipe import Recipe
from bench.training.precision import Precision
from bench.training.trained_net import TrainedNet


def load(
    files: Mapping[str, WeightsFile], recipe: Recipe, data: Dataset, precision: Precision
) -> dict[str, TrainedNet]:
    """The networks by the setting that names each: a task's in fp32, an ingredient's in the recipe's form.

    Raises `UsageError` for a file without weights, and for a network trained on other data than the recipe's.
    """
    found = {}
    for key, file in files.items():
        setting = kept_nets.setting(recipe, key)
        found[key] = trained = _load(setting, file, recipe, data, precision)
        if recipe.task is None:
            _suit(setting, file, trained, recipe, data, precision)
    return found


def _load(setting: str, file: WeightsFile, recipe: Recipe, data: Dataset, precision: Precision) -> TrainedNet:
    weights = weights_file.load(file)
    named, seen = (_origin(weights, part) for part in ("model", "data"))
    if named is None or seen is None:
        raise UsageError(
            f"{setting}: {file.path} does not say which network it is, or on which data it was trained; "
            "train it again by `bench run RECIPE --keep-weights`"
        )
    _check_seen(setting, file, recipe, data, seen)
    name = named.pop("name")
    if name not in models.MODELS:
        raise UsageError(f"{setting}: {file.path} is of {name}, a network of your own; name one of `bench list models`")
    channels, height, width = seen["image_shape"]
    # Its random start is not to change what the training draws.
    with torch.random.fork_rng([]):
        net = models.build(name, named, in_channels=channels, classes=seen["classes"], image_size=min(height, width))
    weights_file.put_into(net, weights, file.path)
    net.requires_grad_(False).eval().to(precision.device.torch)
    return TrainedNet(net, tuple(seen["mean"]), tuple(seen["std"]), weights.origin.get("run_id", ""))


def _suit(
    setting: str, file: WeightsFile, trained: TrainedNet, recipe: Recipe, data: Dataset, precision: Precision
) -> None:
    """Let a network that sees the recipe's own batches compute as the recipe's does.

    Raises `UsageError` if it was trained on images that were normalised in another way.
    """
    if (trained.mean, trained.std) != (tuple(data.mean), tuple(data.std)):
        raise UsageError(
            f"{setting}: {file.path} was trained on images normalised by other numbers than the recipe's; train it "
            "again on this data"
        )
    assembly.speed_up(recipe, trained.net, precision.device.kind)
    precision.prepare(trained.net, assembly.MEMORY_FORMATS[recipe.memory_format])


def _check_seen(setting: str, file: WeightsFile, recipe: Recipe, data: Dataset, seen: Mapping[str, Any]) -> None:
    """Raise `UsageError` if a network has seen other data than the recipe's, or than that of which these are made."""
    own = describe_data(recipe, data)
    info = DATASETS.get(own["name"])
    if info is not None and seen.get("name") in info.made_from:
        own |= {what: seen.get(what) for what in ("name", "classes")}
    if recipe.task is not None and setting.removeprefix("task.") in recipe.task.STARTS:
        seen = {**own, "image_shape": [(seen.get("image_shape") or [None])[0], *own["image_shape"][1:]]}
    for what in ("name", "image_shape", "classes"):
        if seen.get(what) != own[what]:
            raise UsageError(
                f"{setting}: {file.path} was trained on other data: its {what} is {seen.get(what)}, and here "
                f"{own[what]}; name a network that was trained on the data of this recipe"
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
