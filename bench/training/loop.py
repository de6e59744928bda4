"""The training loop: epochs of steps until the target or the last epoch.

It knows a model, batches and a clock. Which of its time counts is decided elsewhere, from the spans.
"""

from __future__ import annotations

import itertools
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bench.host.clock import Clock
from bench.training import trainer_state
from bench.training.device import Device
from bench.training.goal import Goal
from bench.training.optimizers import Optimizers
from bench.training.ranks import ALONE, Ranks
from bench.training.state import State
from bench.training.trainer_state import Stateful

REPORT_EVERY_S = 0.25
# Called after an epoch that is not the last, with the number of epochs done and a function that gives the state.
AfterEpoch = Callable[[int, Callable[[], State]], None]

Report = Callable[[dict[str, Any]], None]


class Diverged(Exception):
    """The loss, or the quality of a task, is no longer a finite number."""


class Batches(Protocol):
    @property
    def steps_per_epoch(self) -> int: ...

    def epoch(self, epoch: int) -> Iterable[tuple[Tensor, Tensor]]:
        """Images [B, C, H, W] and labels int64 [B] of epoch number `epoch`, counted from 0."""


def endless(batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of one epoch after the other."""
    for epoch in itertools.count():
        yield from batches.epoch(epoch)


class Loop(ABC):
    """Epochs of steps on the batches of `train` until the goal is reached or the last step is done.

    What a step is and what an evaluation is, a subclass says: `Trainer` for a classifier, `TaskTrainer` for the rest.
    `report` receives steps, a few times a second, and every epoch, as flat dictionaries. After an exception, `rows`,
    `step` and `examples` have the state up to it. `time_to_target_s` is the time on the clock at which the target was
    first known to be reached. `quality` is the last evaluation's result: an accuracy, or what the task measures.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Batches,
        goal: Goal,
        clock: Clock,
        total_steps: int,
        device: Device,
        report: Report,
        ranks: Ranks = ALONE,
    ) -> None:
        self.model, self.train, self.goal, self.clock = model, train, goal, clock
        self.total_steps, self.device, self.ranks = total_steps, device, ranks
        self._report = report
        self.rows: list[dict[str, Any]] = []
        self.step = self.batches = self.examples = 0
        self.after_epoch: AfterEpoch = lambda *_: None
        self.quality: float | None = None
        self.time_to_target_s: float | None = None

    @abstractmethod
    def evaluated(self) -> AbstractContextManager[nn.Module]:
        """While entered, the model has the weights for evaluation."""

    @abstractmethod
    def _begin(self) -> Optimizers:
        """Make the optimisers of a run that begins now; those returned stand for all of them in the record."""

    @abstractmethod
    def _steps(self, epoch: int, optimizers: Optimizers) -> Iterator[tuple[Tensor, int]]:
        """Do the steps of an epoch: after each, its loss, float32 [] summed over its examples, and their number."""

    @abstractmethod
    def _measured(self, final: bool) -> float:
        """How good the present weights are."""

    @abstractmethod
    def _row(self, quality: float | None) -> dict[str, Any]:
        """What an epoch's row says besides its steps; `quality` is None if it was not evaluated."""

    @abstractmethod
    def _stateful(self, optimizers: Optimizers) -> Mapping[str, Stateful]:
        """What a training changes besides its network, by name."""

    def run(self, saved: State | None = None) -> None:
        """Train to the end or to the target, from the beginning or from the state `saved` of an interrupted run.

        Raises `Diverged` if the loss becomes infinite or NaN.
        """
        with self.clock.span("init"):
            optimizers = self._begin()
            if saved is not None:
                self._restore(optimizers, saved)
        for epoch in range(len(self.rows), math.ceil(self.goal.epochs)):
            with self.clock.span("train", epoch + 1):
                mean_loss = self._epoch(epoch, optimizers)
            self._note_target(None, mean_loss)
            last = self.step >= self.total_steps
            quality = self._evaluate(epoch, last)
            self._record(epoch, mean_loss, optimizers, quality)
            stop = self.goal.stop_at_target and self.goal.reached_by(quality, mean_loss)
            if last or stop:
                known = quality is not None and self.goal.evaluates_alike
                self.quality = quality if known else self._final_quality()
                return
            self.after_epoch(epoch + 1, lambda: self._state(optimizers))

    def _state(self, optimizers: Optimizers) -> State:
        """All that the rest of the training depends on."""
        return trainer_state.state_of(self, self._stateful(optimizers))

    def _restore(self, optimizers: Optimizers, saved: State) -> None:
        """Continue from what `_state` returned."""
        trainer_state.restore(self, self._stateful(optimizers), saved)

    @property
    def epochs(self) -> float:
        """Passes over the data so far; a batch counts from its beginning."""
        return self.batches / self.train.steps_per_epoch

    def _epoch(self, epoch: int, optimizers: Optimizers) -> float:
        """Train for an epoch; returns the mean loss of its examples."""
        loss_sum = torch.zeros((), device=self.device.torch)
        examples_before, next_report_s = self.examples, time.monotonic()
        for loss, count in self._steps(epoch, optimizers):
            self.step += 1
            self.examples += count * self.ranks.count
            loss_sum += loss
            if time.monotonic() >= next_report_s:
                next_report_s = time.monotonic() + REPORT_EVERY_S
                self._report_step(epoch, loss.item() / count if self.device.reads_are_free else None)
        mean_loss = self.ranks.sum(loss_sum).item() / (self.examples - examples_before)
        if not math.isfinite(mean_loss):
            raise Diverged(f"the loss is {mean_loss} in epoch {epoch + 1}, by step {self.step}")
        return mean_loss

    def _evaluate(self, epoch: int, last: bool) -> float | None:
        """The epoch's quality, None if none is due; the last one is the final one if both are evaluated alike."""
        if last and self.goal.evaluates_alike:
            return self._final_quality()
        if not self.goal.is_due(epoch + 1, last):
            return None
        with self.clock.span("eval", epoch + 1):
            return self._noted(final=False)

    def _final_quality(self) -> float:
        with self.clock.span("final_eval"):
            return self._noted(final=True)

    def _noted(self, final: bool) -> float:
        quality = self._measured(final)
        self._note_target(quality)
        return quality

    def _note_target(self, quality: float | None, loss: float | None = None) -> None:
        if self.time_to_target_s is None and self.goal.reached_by(quality, loss):
            self.time_to_target_s = self.clock.elapsed_s()

    def _record(self, epoch: int, mean_loss: float, optimizers: Optimizers, quality: float | None) -> None:
        row = {
            "epoch": epoch + 1,
            "steps": self.step,
            "examples": self.examples,
            "train_s": self.clock.total_s("train"),
            "loss": mean_loss,
            "lr": optimizers.lr,
            "momentum": optimizers.momentum,
            "lr_role": optimizers.main_role,
            **self._row(quality),
        }
        self.keep(row)

    def keep(self, row: dict[str, Any]) -> None:
        """Add the row of an epoch, and report it."""
        self.rows.append(row)
        self._report({"kind": "epoch", **row})

    def _report_step(self, epoch: int, loss: float | None) -> None:
        if loss is not None and not math.isfinite(loss):
            raise Diverged(f"the loss is {loss} in epoch {epoch + 1}, at step {self.step}")
        self._report(
            {
                "kind": "step",
                "epoch": epoch + 1,
                "step": self.step,
                "total_steps": self.total_steps,
                "examples": self.examples,
                "loss": loss,
            }
        )
