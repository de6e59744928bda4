"""Builds a trainer from a recipe: the one place where names become objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import nn

from bench import models
from bench.host.clock import Clock
from bench.ingredients.ingredient import SecondNetwork, TrainingParts
from bench.measures.text import check_reads, check_suits_text
from bench.models import MODELS, ImpossibleModel
from bench.models.own import check_output
from bench.pipelines.augment import Augment
from bench.pipelines.augmentations import augmentation
from bench.pipelines.dataset import Dataset
from bench.pipelines.loader import Loader, Placement, Shard
from bench.pipelines.loaders import make_loader
from bench.spec.optimizer import OptimizerGroup
from bench.spec.recipe import Recipe
from bench.training.compiled import compiled
from bench.training.cuda_graph import Captured
from bench.training.curriculum import Curriculum
from bench.training.device import Device
from bench.training.goal import Goal
from bench.training.in_place import become
from bench.training.loop import Batches
from bench.training.loss import Loss
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.ranks import ALONE, Ranks
from bench.training.registries import SCHEDULES
from bench.training.schedules import Schedule, own
from bench.training.sizes import resized
from bench.training.step import Resize, TrainingStep
from bench.training.trained_net import TrainedNet
from bench.training.trainer import Trainer

MEMORY_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


def build_model(recipe: Recipe, data: Dataset) -> nn.Module:
    """The recipe's network for this data, on the CPU in fp32, initialised from the current random state.

    Raises `ImpossibleModel` if it cannot be built for every size of images on which it is trained.
    """
    channels, height, width = data.image_shape
    name, options = recipe.model.name, recipe.model.options
    for index, pixels in enumerate(recipe.image_sizes.pixels if recipe.image_sizes else []):
        try:
            models.check(name, options, in_channels=channels, classes=data.classes, image_size=pixels)
        except ImpossibleModel as error:
            key = f"image_sizes.{index}.pixels"
            raise ImpossibleModel(f"{key}: {pixels} does not suit this network: {error}") from None
    model = models.build(name, options, in_channels=channels, classes=data.classes, image_size=min(height, width))
    if name not in MODELS:
        check_own_output(recipe, model, data)
    else:
        check_reads(name, model, data)
    for key, ingredient in recipe.ingredients.items():
        ingredient.change_network(key, model)
    _drop_batch_counters(model)
    return model


def check_own_output(recipe: Recipe, model: nn.Module, data: Dataset) -> None:
    """Raise `UsageError` if a user's network has the wrong output shape for some size of the images."""
    channels, height, width = data.image_shape
    found, shapes = MODELS.find(recipe.model.name), [(channels, height, width)]
    for pixels in recipe.image_sizes.pixels if recipe.image_sizes else []:
        scale = pixels / min(height, width)
        shapes.append((channels, round(height * scale), round(width * scale)))
    for shape in shapes:
        check_output(found, model, shape, data.classes)


def _drop_batch_counters(model: nn.Module) -> None:
    """Stop batch norms with a momentum from counting batches: nothing reads the counts, and on a GPU each costs a
    kernel a step."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.momentum is not None:
            module.num_batches_tracked = None


def prepare_process(recipe: Recipe, device: str) -> dict[str, Any]:
    """Let ingredients change how this process works on `device`; returns facts for the record.

    Raises `UsageError` and `MissingError` if the recipe requires something that is impossible here.
    """
    said: dict[str, Any] = {}
    for key, ingredient in recipe.ingredients.items():
        said |= ingredient.prepare_process(key, device)
    return said


def speed_up(recipe: Recipe, model: nn.Module, device: str) -> dict[str, Any]:
    """Let ingredients replace parts of the network by faster equivalents on `device`; returns facts for the record.

    Raises `UsageError` and `MissingError` if the recipe requires something that is impossible here.
    """
    said: dict[str, Any] = {}
    for key, ingredient in recipe.ingredients.items():
        said |= ingredient.speed_up(key, model, device)
    return said


def build_loader(
    recipe: Recipe,
    data: Dataset,
    split: Literal["train", "test"],
    placement: Placement,
    seed: int,
    workers: int | None,
    cache: Path | None,
    shard: Shard | None = None,
) -> Loader:
    """The recipe's loader of a split on one of its devices.

    Raises `UsageError` if an ingredient for images is used with a text.
    """
    if data.streams is not None:
        check_suits_text(recipe)
    size = recipe.of_one_device(recipe.batch_size) if split == "train" else recipe.evaluation.batch_size
    augment = Augment(**recipe.augment.model_dump(exclude={"then"}))
    loader = make_loader(recipe.loader, data, split, size, augment, placement, seed, workers, cache, shard)
    if split == "train":
        loader.then = tuple(augmentation(named.name, named.options) for named in recipe.augment.then or ())
    return loader


def init_from_data(model: nn.Module, data: Dataset, device: torch.device) -> None:
    """Initialise a network that supports it from its first `init_images` training images, normalised, on the device."""
    init = getattr(model, "init_from_data", None)
    if callable(init):
        init(normalised(data, getattr(model, "init_images", len(data.train)), device))


def normalised(data: Dataset, count: int, device: torch.device) -> torch.Tensor:
    """The first `count` training images, float32 [count, C, H, W], normalised by the data set's statistics."""
    images = torch.from_numpy(data.without_margin(data.train.images[:count])).to(device).float() / 255
    mean, std = (torch.tensor(values, device=device).view(1, -1, 1, 1) for values in (data.mean, data.std))
    return (images - mean) / std


def check_device(recipe: Recipe, device: str) -> None:
    """Raise `UsageError` for an ingredient that `cpu` or `cuda` does not support."""
    for key, ingredient in recipe.ingredients.items():
        ingredient.check_device(key, device)


def build_trainer(
    recipe: Recipe,
    model: nn.Module,
    precision: Precision,
    train: Batches,
    test: Batches,
    clock: Clock,
    report: Any,
    ranks: Ranks = ALONE,
    fused: bool | None = None,
    before: Trainer | None = None,
    data: Dataset | None = None,
    nets: Mapping[str, TrainedNet] = MappingProxyType({}),
) -> Trainer:
    """A trainer of `model`, which is already on its device in `precision`; `fused` is passed to `Optimizers`.

    Programs and graphs of `before`, an earlier trainer of the same network and recipe, are reused; all other state is
    new. `data` is required if the recipe has a proxy, whose network is built and initialised for it. `nets` are the
    networks trained earlier that ingredients use, by the settings that name them.
    """
    check_device(recipe, precision.device.kind)
    curriculum = build_curriculum(recipe, train.steps_per_epoch)
    loss = Loss(recipe.loss.label_smoothing, recipe.loss.reduction)
    shapes = len(curriculum.stages)
    forward = before.train_step.forward if before else _compiled(recipe, ranks.wrap(model), shapes)

    def make_optimizers(recipe: Recipe, model: nn.Module) -> Callable[[], Optimizers]:
        # DDP waits for the gradient of every parameter.
        given = {"drop_frozen": ranks.count == 1, "fused": fused}
        return lambda: build_optimizers(recipe, model, curriculum, train.steps_per_epoch, precision.device.torch, given)

    def make_proxy(earlier: tuple[nn.Module, nn.Module] | None) -> SecondNetwork:
        of_proxy = recipe.of_proxy()
        assert of_proxy is not None
        assert data is not None
        net = build_model(of_proxy, data)
        init_from_data(net, data, precision.device.torch)
        precision.prepare(net, MEMORY_FORMATS[recipe.memory_format])
        if earlier:
            become(earlier[0], net)
            net, through = earlier
        else:
            # It is compiled twice: for steps in which it learns, and for steps in which it only selects.
            through = _compiled(of_proxy, net, 2 * shapes)
        return SecondNetwork(net, through, make_optimizers(of_proxy, net))

    parts = TrainingParts(model, train, precision, loss, before.train_step.hooks if before else (), make_proxy, nets)
    train_step = TrainingStep(
        model,
        forward,
        make_optimizers(recipe, model),
        precision,
        loss,
        [hook for ingredient in recipe.ingredients.values() for hook in ingredient.hooks(parts)],
        recipe.parts_of_a_step,
        ranks,
        Captured if recipe.cuda_graph else None,
        before.train_step.resize if before else _resize(recipe, precision.device),
    )
    if before:
        train_step.take_over(before.train_step)
    return Trainer(train_step, train, test, build_goal(recipe), clock, curriculum, report)


def build_goal(recipe: Recipe) -> Goal:
    evaluation = recipe.evaluation
    return Goal(
        epochs=recipe.epochs,
        target_accuracy=recipe.target_accuracy,
        target_loss=recipe.target_loss,
        stop_at_target=recipe.stop_at_target,
        tta=evaluation.tta,
        epoch_tta=evaluation.epoch_tta,
        eval_every_epochs=evaluation.every_epochs,
        tta_below=evaluation.tta_below,
        first_eval_epoch=evaluation.first_epoch or 1,
        equal_views=bool(evaluation.equal_views),
    )


def build_optimizers(
    recipe: Recipe,
    model: nn.Module,
    curriculum: Curriculum,
    steps_per_epoch: int,
    device: torch.device,
    given: Mapping[str, Any],
) -> Optimizers:
    """The recipe's optimisers for a network on the device; further arguments are passed to `Optimizers`."""

    def settings_of(group: OptimizerGroup) -> dict[str, Any]:
        settings = group.settings()
        return settings | {"epochs": curriculum.passes(group.epochs)} if group.epochs is not None else settings

    arguments = {**given}
    for ingredient in recipe.ingredients.values():
        arguments |= ingredient.optimizer_arguments(model, device)
    groups: dict[str, Any] = {role: settings_of(group) for role, group in recipe.optimizer.groups.items()}
    schedule = build_schedule(recipe, curriculum)
    common, batches = recipe.optimizer.settings(), curriculum.total_batches
    return Optimizers(model, common, groups, schedule, batches, steps_per_epoch, **arguments)


def build_schedule(recipe: Recipe, curriculum: Curriculum) -> Schedule:
    name, options = recipe.schedule.name, recipe.schedule.model_dump(exclude={"name"})
    schedule: Schedule = SCHEDULES.load(name)(**options) if name in SCHEDULES else own(SCHEDULES.find(name), options)
    for ingredient in recipe.ingredients.values():
        schedule = ingredient.change_schedule(schedule, curriculum, recipe.epochs)
    return schedule


def build_curriculum(recipe: Recipe, batches_per_epoch: int) -> Curriculum:
    """The plan of the run: into how many steps each batch is cut, and at how many pixels it is trained on."""
    arguments: dict[str, Any] = {}
    for ingredient in recipe.ingredients.values():
        arguments |= ingredient.curriculum(recipe)
    return Curriculum(recipe.epochs, batches_per_epoch, **arguments)


def _resize(recipe: Recipe, device: Device) -> Resize:
    """`resized`, on a GPU as one kernel if the recipe compiles."""
    return torch.compile(resized, dynamic=False) if recipe.compile and device.is_cuda else resized


def _compiled(recipe: Recipe, forward: nn.Module, shapes: int) -> nn.Module:
    """The network in the form that the recipe trains, for this many shapes of batches."""
    if not recipe.compile:
        return forward
    # Fewer parameters are trained after a role has stopped or a part is frozen.
    stops = sum(group.epochs is not None for group in recipe.optimizer.groups.values())
    return compiled(forward, shapes, stops + sum(one.freezings for one in recipe.ingredients.values()))
