"""Counts, without a GPU, what each kind of step of a run requires of one: operations, bytes, FLOPs, waits.

Real steps with two small numbers of images run on the CPU. The operations are the same for both; bytes and FLOPs are
linear in the number of images, which gives those of the recipe's batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from bench.measures import assembly
from bench.pipelines.loader import Batch
from bench.pipelines.render import PIECE_VALUES
from bench.profiling.footprint import NoBatches, repetition, stand_in
from bench.profiling.operations import Operation, Operations, WithoutProducts
from bench.profiling.stand_in import data_shape, stand_in_data
from bench.profiling.step import BACKWARD, FORWARD, LOADER, LOSS, OPTIMIZER, OTHER, mark_parts
from bench.profiling.workbench import Workbench, refusals
from bench.spec.recipe import Recipe
from bench.training import evaluation
from bench.training.examples import Examples
from bench.training.goal import Goal
from bench.training.optimizers import Optimizers
from bench.training.trainer import Trainer

# Batch norm needs more than one value in each channel.
LEAST_IMAGES = 2


class NotCounted(Exception):
    """The requirements of a recipe cannot be counted; the text says why."""


@dataclass(frozen=True)
class Work:
    """Equal steps of `examples` images each, or batches of an evaluation, on one device."""

    title: str
    times: int
    examples: int
    operations: tuple[Operation, ...]
    waits: dict[str, int] = field(default_factory=dict)

    @property
    def is_step(self) -> bool:
        return any(operation.part == OPTIMIZER for operation in self.operations)

    @property
    def evaluates(self) -> bool:
        return {operation.part for operation in self.operations} == {FORWARD}

    @property
    def bytes(self) -> int:
        return sum(operation.bytes for operation in self.operations)

    @property
    def flops(self) -> int:
        return sum(operation.flops for operation in self.operations)


class Parts:
    """Tells a counter to which part of a step the operations belong."""

    def __init__(self) -> None:
        self.operations = Operations()

    def begin(self, part: str) -> None:
        # The loss's backward pass comes first; a hook on the logits marks the beginning of the network's.
        self.operations.part = LOSS if part == BACKWARD else part

    def network_backward_begins(self, _gradient: Tensor) -> None:
        self.operations.part = BACKWARD


def demand(recipe: Recipe) -> list[Work]:
    """The work of a run on a GPU: making batches, the steps of each stage, and the evaluations.

    If an evaluation gives unsure images further views, only the first views are counted, because the number of unsure
    images is unknown. Communication between devices is not counted. Raises `UsageError` for a network that cannot be
    built, `NotCounted` if the operations depend on the number of images, as with ghost batches.
    """
    with WithoutProducts():  # used only for sizes
        return _counted(stand_in(recipe))


def _counted(recipe: Recipe) -> list[Work]:
    shape, _, train_count, test_count = data_shape(recipe)
    period, least = repetition(recipe)
    small = max(least, LEAST_IMAGES) * recipe.parts_of_a_step
    with refusals():
        noise = stand_in_data(recipe, 4 * small, 1)
    workbench = Workbench(recipe, "cpu", noise)
    images = recipe.of_one_device(recipe.batch_size)
    trainer = workbench.trainer(NoBatches(max(train_count // (images * recipe.device_count), 1)), fused=True)
    work = []
    # A CPU renders larger batches in pieces.
    if recipe.loader == "resident" and 2 * math.prod(shape) <= PIECE_VALUES:
        counted = [_batch_made(workbench, size) for size in (1, 2)]
        work.append(_scaled("making a batch", trainer.curriculum.total_batches, images, 1, *counted))
    curriculum, parts = trainer.curriculum, Parts()
    periodic = ", ".join(key for key, one in recipe.ingredients.items() if one.period > 1)
    mark_parts(trainer, parts)
    optimizers = trainer.train_step.make_optimizers()
    trainer.train_step(Examples(*workbench.batch(small)), optimizers, 0)  # creates the optimisers' state
    for start, end in zip(curriculum.starts, [*curriculum.starts[1:], curriculum.total_batches], strict=True):
        stage = curriculum.stage(start)
        title, times = f"step at {stage.pixels or min(shape[1:])} px", (end - start) * stage.steps
        both = [
            sorted(
                (step_made(trainer, optimizers, workbench.batch(size), start, parts) for _ in range(period)),
                key=lambda counted: counted.total,
            )
            for size in (small, 2 * small)
        ]
        full = math.ceil(times / period)
        kinds = [(title, times, -1)] if period == 1 else [(title, times - full, 0), (f"{title}, {periodic}", full, -1)]
        for name, count, index in kinds:
            counted = [steps[index] for steps in both]
            work.append(_scaled(name, count, images // stage.steps, small, *counted))
    size = recipe.evaluation.batch_size
    for title, tta, times in _evaluations(trainer.goal):
        counted = [_evaluated(trainer, workbench, count, tta) for count in (small, 2 * small)]
        work.append(_scaled(title, times * math.ceil(test_count / size), min(size, test_count), small, *counted))
    return work


def step_made(trainer: Trainer, optimizers: Optimizers, batch: Batch, start: int, parts: Parts) -> Operations:
    """The operations of a step of the stage that begins with batch number `start`; `trainer` reports its `parts`."""
    images, labels = batch
    stage, numbers = trainer.curriculum.stage(start), torch.arange(len(labels), device=labels.device)

    def made(_module: object, _images: object, logits: Tensor) -> None:
        if logits.requires_grad:
            logits.register_hook(parts.network_backward_begins)  # type: ignore[no-untyped-call]

    hook = trainer.model.register_forward_hook(made)
    parts.operations = counted = Operations(only_on=images.device.type)
    parts.begin(OTHER)
    with counted:
        trainer.train_step(Examples(images, labels, numbers), optimizers, start, stage)
    hook.remove()
    return counted


def _batch_made(workbench: Workbench, size: int) -> Operations:
    """The operations of a resident loader for a batch in the middle of an epoch, small enough to be rendered at
    once."""
    recipe = workbench.recipe.model_copy(update={"batch_size": size, "devices": None, "batch_sizes": None})
    with assembly.build_loader(recipe, workbench.data, "train", workbench.placement, 0, None, None) as loader:
        batches = loader.epoch(0)
        next(batches)
        with Operations(part=LOADER) as counted:
            next(batches)
    return counted


def _evaluated(trainer: Trainer, workbench: Workbench, count: int, tta: int) -> Operations:
    """The operations of evaluating a batch of this size, including the answer, which is read once at the end."""
    views = 0 if trainer.goal.tta_below is not None else tta
    with Operations(part=FORWARD) as counted:
        evaluation.evaluate(trainer.model, [workbench.batch(count)], trainer.train_step.precision, views)
    return counted


def _evaluations(goal: Goal) -> list[tuple[str, int, int]]:
    """The evaluations of a complete run: title, level of test-time augmentation, and number."""
    last, every = math.ceil(goal.epochs), goal.eval_every_epochs
    between = sum(epoch >= goal.first_eval_epoch and epoch % every == 0 for epoch in range(1, last)) if every else 0
    # The evaluation after the last epoch is the final one if both are alike.
    between += bool(every) and goal.tta != goal.epoch_tta
    found = [("evaluation of an epoch", goal.epoch_tta, between), ("final evaluation", goal.tta, 1)]
    return [row for row in found if row[2]]


def _scaled(title: str, times: int, examples: int, small: int, one: Operations, two: Operations) -> Work:
    """The counts for `examples` images, extrapolated from those of `small` images and twice as many."""
    names = [[operation.name for operation in counted.each] for counted in (one, two)]
    if names[0] != names[1]:
        raise NotCounted(f"{title}: its operations depend on the batch's size, so that they cannot be scaled up")
    share = examples / small - 1

    def line(first: int, second: int) -> int:
        return round(first + (second - first) * share)

    def sizes(first: Sequence[tuple[int, int]], second: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
        return tuple((number, line(size, size_2)) for (number, size), (_, size_2) in zip(first, second, strict=True))

    operations = tuple(
        replace(a, flops=line(a.flops, b.flops), reads=sizes(a.reads, b.reads), writes=sizes(a.writes, b.writes))
        for a, b in zip(one.each, two.each, strict=True)
    )
    return Work(title, times, examples, operations, dict(one.waits))
