"""From a recipe to a trainer: the one place where names become objects."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import models
from bench.clock import Clock
from bench.recipe import Recipe
from bench.training.lookahead import Lookahead
from bench.training.loop import Batches, Goal, Loss, Trainer
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.schedules import SCHEDULES
from pipelines.dataset import Dataset

MEMORY_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
WHITENING_IMAGES = 5000


def build_model(recipe: Recipe, data: Dataset) -> nn.Module:
    """The recipe's network for this data, on the CPU in fp32, from the current random state."""
    channels, height, width = data.image_shape
    return models.build(
        recipe.model.name,
        recipe.model.options,
        in_channels=channels,
        classes=data.classes,
        image_size=min(height, width),
    )


def init_from_data(model: nn.Module, data: Dataset) -> None:
    """Let a network that asks for it look at the first training images, normalised."""
    init = getattr(model, "init_from_data", None)
    if callable(init):
        init(normalised(data, WHITENING_IMAGES))


def normalised(data: Dataset, count: int) -> torch.Tensor:
    """The first `count` training images, float32 [count, C, H, W], with zero mean and unit deviation."""
    images = torch.from_numpy(data.train.images[:count]).float() / 255
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (data.mean, data.std))
    return (images - mean) / std


def build_trainer(
    recipe: Recipe,
    model: nn.Module,
    precision: Precision,
    train: Batches,
    test: Batches,
    clock: Clock,
    report: Any,
) -> Trainer:
    """A trainer of `model`, which is already on its device in `precision`."""
    goal = Goal(
        epochs=recipe.epochs,
        target_accuracy=recipe.target_accuracy,
        stop_at_target=recipe.stop_at_target,
        tta=recipe.evaluation.tta,
        epoch_tta=recipe.evaluation.epoch_tta,
        eval_every_epochs=recipe.evaluation.every_epochs,
    )
    schedule = SCHEDULES[recipe.schedule.name](**recipe.schedule.model_dump(exclude={"name"}))
    lookahead = recipe.lookahead

    def make_optimizers() -> Optimizers:
        return Optimizers(
            model,
            recipe.optimizer.settings(),
            {role: group.settings() for role, group in recipe.optimizer.groups.items()},
            schedule,
            trainer.total_steps,
            train.steps_per_epoch,
            drop_frozen=not recipe.compile,
        )

    trainer = Trainer(
        model,
        torch.compile(model) if recipe.compile else model,  # type: ignore[arg-type]
        make_optimizers,
        precision,
        Loss(recipe.loss.label_smoothing, recipe.loss.reduction),
        goal,
        train,
        test,
        clock,
        (lambda: Lookahead(model, lookahead.every, lookahead.decay)) if lookahead else None,
        report,
    )
    return trainer
