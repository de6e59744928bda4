"""The state of a trainer after an epoch: all that the rest of the training depends on, and what it has found so far."""

from __future__ import annotations

from typing import Any, Protocol

from torch import nn

from bench.training.optimizers import Optimizers
from bench.training.state import State, Work, of_network, of_random, of_work, put_network, put_random, work_of
from bench.training.step import TrainingStep

# What a trainer knows of its progress.
KNOWN = ("step", "batches", "examples", "time_to_target_s")


class Continued(Protocol):
    """What is asked of a trainer, beside the attributes in KNOWN."""

    train_step: TrainingStep
    rows: list[dict[str, Any]]
    examples_by_work: Work

    @property
    def model(self) -> nn.Module: ...

    def keep(self, row: dict[str, Any]) -> None:
        """Add the row of an epoch, and report it."""


def state_of(trainer: Continued, optimizers: Optimizers) -> State:
    """The state, whose tensors are those of the training itself: write it down before the next step."""
    step = trainer.train_step
    return {
        "network": of_network(trainer.model),
        "optimizers": optimizers.state(),
        "precision": step.precision.state(),
        "hooks": [hook.state() for hook in step.hooks],
        "random": of_random(step.precision.device.torch),
        "work": of_work(trainer.examples_by_work, trainer.model),
        "rows": trainer.rows,
        "known": {name: getattr(trainer, name) for name in KNOWN},
    }


def restore(trainer: Continued, optimizers: Optimizers, saved: State) -> None:
    """Put a state back into a trainer of the same recipe that has begun; it reports the epochs again."""
    step = trainer.train_step
    put_network(trainer.model, saved["network"])
    optimizers.restore(saved["optimizers"])
    step.precision.restore(saved["precision"])
    for hook, one in zip(step.hooks, saved["hooks"], strict=True):
        hook.restore(one)
    trainer.examples_by_work = work_of(saved["work"], trainer.model)
    for name in KNOWN:
        setattr(trainer, name, saved["known"][name])
    for row in saved["rows"]:
        trainer.keep(row)
    put_random(saved["random"])
