"""From a recipe to a trainer: the one place where names become objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

import models
from bench.clock import Clock
from bench.recipe import Recipe
from bench.training.cutmix import CutMix
from bench.training.ema import Ema
from bench.training.ghost_norm import use_ghost_batches
from bench.training.lookahead import Lookahead
from bench.training.loop import Batches, Goal, Trainer
from bench.training.loss import Loss
from bench.training.optimizers import Optimizers
from bench.training.plan import Plan
from bench.training.precision import Precision
from bench.training.ranks import ALONE, Ranks
from bench.training.schedules import SCHEDULES, Schedule, warmed_up
from models import ImpossibleModel
from pipelines.augment import Augment
from pipelines.dataset import Dataset
from pipelines.loader import Loader, Placement, Shard
from pipelines.loaders import make_loader

MEMORY_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
WHITENING_IMAGES = 5000


def build_model(recipe: Recipe, data: Dataset) -> nn.Module:
    """The recipe's network for this data, on the CPU in fp32, from the current random state.

    Raises `ImpossibleModel` where it cannot be built, or not for every size of images that it is to train on.
    """
    channels, height, width = data.image_shape
    name, options = recipe.model.name, recipe.model.options
    for index, size in enumerate(recipe.image_sizes or []):
        try:
            models.check(name, options, in_channels=channels, classes=data.classes, image_size=size.pixels)
        except ImpossibleModel as error:
            key = f"image_sizes.{index}.pixels"
            raise ImpossibleModel(f"{key}: {size.pixels} does not suit this network: {error}") from None
    model = models.build(name, options, in_channels=channels, classes=data.classes, image_size=min(height, width))
    if recipe.ghost_batch:
        try:
            use_ghost_batches(model, recipe.ghost_batch)
        except ValueError as error:
            raise ImpossibleModel(str(error)) from None
    return model


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
    """The recipe's loader of a split, on one of its devices."""
    size = recipe.of_one_device(recipe.batch_size) if split == "train" else recipe.evaluation.batch_size
    augment = Augment(**recipe.augment.model_dump())
    return make_loader(recipe.loader, data, split, size, augment, placement, seed, workers, cache, shard)


def init_from_data(model: nn.Module, data: Dataset, device: torch.device) -> None:
    """Let a network that asks for it look at the first training images, normalised, on the device."""
    init = getattr(model, "init_from_data", None)
    if callable(init):
        init(normalised(data, WHITENING_IMAGES, device))


def normalised(data: Dataset, count: int, device: torch.device) -> torch.Tensor:
    """The first `count` training images, float32 [count, C, H, W], with zero mean and unit deviation."""
    images = torch.from_numpy(data.train.images[:count]).to(device).float() / 255
    mean, std = (torch.tensor(values, device=device).view(1, -1, 1, 1) for values in (data.mean, data.std))
    return (images - mean) / std


def build_trainer(
    recipe: Recipe,
    model: nn.Module,
    precision: Precision,
    train: Batches,
    test: Batches,
    clock: Clock,
    report: Any,
    ranks: Ranks = ALONE,
) -> Trainer:
    """A trainer of `model`, which is already on its device in `precision`."""
    forward = ranks.wrap(model)
    goal = Goal(
        epochs=recipe.epochs,
        target_accuracy=recipe.target_accuracy,
        stop_at_target=recipe.stop_at_target,
        tta=recipe.evaluation.tta,
        epoch_tta=recipe.evaluation.epoch_tta,
        eval_every_epochs=recipe.evaluation.every_epochs,
    )
    schedule, plan = build_schedule(recipe), build_plan(recipe, train.steps_per_epoch)

    def make_averages() -> list[Lookahead | Ema]:
        lookahead, ema = recipe.lookahead, recipe.ema
        averages: list[Lookahead | Ema] = []
        if lookahead:
            averages.append(Lookahead(model, lookahead.every, lookahead.decay))
        if ema:
            averages.append(Ema(model, ema.decay, ema.every, ema.start))
        return averages

    def make_optimizers() -> Optimizers:
        return Optimizers(
            model,
            recipe.optimizer.settings(),
            {role: group.settings() for role, group in recipe.optimizer.groups.items()},
            schedule,
            plan.total_batches,
            train.steps_per_epoch,
            # Neither a compiled network nor DDP takes it well when a parameter stops having a gradient.
            drop_frozen=not recipe.compile and ranks.count == 1,
        )

    return Trainer(
        model,
        _compiled(forward, len(plan.stages)) if recipe.compile else forward,
        make_optimizers,
        precision,
        Loss(recipe.loss.label_smoothing, recipe.loss.reduction),
        goal,
        train,
        test,
        clock,
        make_averages,
        report,
        ranks,
        plan,
        recipe.accumulate or 1,
        # The seed of the run, which torch was given; of several ranks each has one of its own.
        CutMix(**recipe.cutmix.model_dump(), seed=torch.initial_seed()) if recipe.cutmix else None,
    )


def _compiled(forward: nn.Module, stages: int) -> nn.Module:
    """Compiled, where there are several stages for the shapes of each: one program for all of them is slower."""
    dynamo = torch._dynamo.config
    # In training, and in two kinds of evaluation: of whole batches and of the last one.
    dynamo.recompile_limit = max(dynamo.recompile_limit, 3 * stages)
    return torch.compile(forward, dynamic=False if stages > 1 else None)  # type: ignore[return-value]


def build_schedule(recipe: Recipe) -> Schedule:
    schedule = SCHEDULES[recipe.schedule.name](**recipe.schedule.model_dump(exclude={"name"}))
    warm_up = recipe.lr_warm_up
    return warmed_up(schedule, warm_up.epochs / recipe.epochs, warm_up.start) if warm_up else schedule


def build_plan(recipe: Recipe, batches_per_epoch: int) -> Plan:
    """In how many steps and at how many pixels each batch of the run is trained on."""
    smaller = recipe.batch_sizes
    return Plan(
        recipe.epochs,
        batches_per_epoch,
        [(size.until, size.pixels) for size in recipe.image_sizes or []],
        [(stage.until, recipe.batch_size // stage.examples) for stage in (smaller.stages if smaller else [])],
        scale_lr=smaller is not None and smaller.scale_lr,
    )
