"""Builds the trainer of a recipe with a task: the one place where its settings become objects."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from bench.host.clock import Clock
from bench.measures import assembly
from bench.pipelines.dataset import Dataset
from bench.spec.recipe import Recipe
from bench.tasks import TASKS
from bench.training.goal import Goal
from bench.training.loop import Batches, Report
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.task import Quality, Task, TaskParts
from bench.training.task_trainer import Show, TaskTrainer
from bench.training.trained_net import TrainedNet


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
