"""The training loop: epochs of steps until the target or the last epoch.

It knows a model, batches and a clock. Which of its time counts is decided elsewhere, from the spans.
"""

from __future__ import annotations

import copy
import gc
import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bench.host.clock import Clock
from bench.training import evaluation
from bench.training.curriculum import Curriculum, Stage
from bench.training.examples import Examples
from bench.training.hook import overridden
from bench.training.optimizers import Optimizers
from bench.training.step import TrainingStep

REPORT_EVERY_S = 0.25


class Diverged(Exception):
    """The loss is no longer a finite number."""


class Batches(Protocol):
    @property
    def steps_per_epoch(self) -> int: ...

    def epoch(self, epoch: int) -> Iterable[tuple[Tensor, Tensor]]:
        """Images [B, C, H, W] and labels int64 [B] of epoch number `epoch`, counted from 0."""


def endless(batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of one epoch after the other."""
    for epoch in itertools.count():
        yield from batches.epoch(epoch)


@dataclass(frozen=True)
class Goal:
    """How long to train, when to evaluate, and the target: an accuracy in [0, 1], or an epoch's mean training loss."""

    epochs: float
    target_accuracy: float | None = None
    stop_at_target: bool = False
    tta: int = 0
    epoch_tta: int = 0
    eval_every_epochs: int = 1
    tta_below: float | None = None
    first_eval_epoch: int = 1
    equal_views: bool = False
    target_loss: float | None = None

    def reached_by(self, accuracy: float | None, loss: float | None = None) -> bool:
        if self.target_loss is not None:
            return loss is not None and loss <= self.target_loss
        return accuracy is not None and self.target_accuracy is not None and accuracy >= self.target_accuracy


class Trainer:
    """Trains with `train_step` on the batches of `train` until the goal is reached, and evaluates on `test`.

    `report` receives steps, a few times a second, and every epoch, as flat dictionaries. After an exception, `rows`,
    `step` and `examples` have the state up to it. `time_to_target_s` is the time on the clock at which the target was
    first known to be reached. Without a `curriculum`, every batch is one step.
    """

    def __init__(
        self,
        train_step: TrainingStep,
        train: Batches,
        test: Batches,
        goal: Goal,
        clock: Clock,
        curriculum: Curriculum | None = None,
        report: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        self.train_step, self.train, self.test, self.goal, self.clock = train_step, train, test, goal, clock
        self.curriculum = curriculum or Curriculum(goal.epochs, train.steps_per_epoch)
        self.total_steps = self.curriculum.total_steps
        self._report = report
        self._draw, self._after_step = (overridden(train_step.hooks, name) for name in ("epoch", "after_step"))
        self.rows: list[dict[str, Any]] = []
        self.step = self.batches = self.examples = 0
        # The number of examples shown, by pixels and set of trained parameters.
        self.examples_by_work: Counter[tuple[int | None, frozenset[nn.Parameter]]] = Counter()
        self.accuracy: float | None = None
        self.time_to_target_s: float | None = None

    @property
    def model(self) -> nn.Module:
        return self.train_step.model

    def warm_up(self, steps: int, images: Tensor, labels: Tensor) -> None:
        """Pay for compilation and autotuning with synthetic batches of the real shapes, then restore the state.

        The weights, the batch statistics, the loss scale and the random state are restored, so that a run with a
        warm-up trains exactly as one without.
        """
        train_step, before = self.train_step, copy.deepcopy(self.model.state_dict())
        numbers = torch.arange(len(labels), device=images.device) if train_step.asks_for_numbers else None
        with torch.random.fork_rng([images.device] if images.is_cuda else []), ExitStack() as hooks:
            for hook in train_step.hooks:
                hooks.enter_context(hook.forgotten())
            optimizers = train_step.make_optimizers()
            *_, last = changes = self._changes(optimizers)
            for start in changes:
                stage = self.curriculum.stage(start)
                batch = next(stage.cut(Examples(images, labels, numbers)))
                train_step.rehearse(batch, start, stage)
                for _ in range(steps):
                    train_step(batch, optimizers, start, stage)
                if train_step.captures:
                    train_step.capture(batch, optimizers, start, stage)
                # A compiled network is compiled again when fewer parameters are trained, also for evaluation.
                if evaluation.is_compiled(train_step.forward) or start == last:
                    for tta in {self.goal.tta, self.goal.epoch_tta}:
                        self._test_accuracy(tta)
        optimizers.reset()
        self.model.load_state_dict(before)
        train_step.precision.reset()
        gc.collect()  # collect garbage from compiling, which would otherwise happen during an epoch

    def _changes(self, optimizers: Optimizers) -> list[int]:
        """The numbers (from 0) of batches whose steps differ from those before."""
        changes = set(self.curriculum.starts)
        if self.train_step.captures or evaluation.is_compiled(self.train_step.forward):
            changes |= {end for end in optimizers.ends if end < self.curriculum.total_batches}
        return sorted(changes)

    def run(self) -> None:
        """Train to the end or to the target.

        Raises `Diverged` if the loss becomes infinite or NaN.
        """
        with self.clock.span("init"):
            optimizers = self.train_step.begin()
        for epoch in range(math.ceil(self.goal.epochs)):
            with self.clock.span("train", epoch + 1):
                mean_loss = self._epoch(epoch, optimizers)
            self._note_target(None, mean_loss)
            last = self.step >= self.total_steps
            accuracy = self._evaluate(epoch, last)
            self._record(epoch, mean_loss, optimizers, accuracy)
            stop = self.goal.stop_at_target and self.goal.reached_by(accuracy, mean_loss)
            if last or stop:
                if accuracy is not None and self.goal.tta == self.goal.epoch_tta:
                    self.accuracy = accuracy
                else:
                    self.accuracy = self._final_accuracy()
                return

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        """While entered, the model has the weights for evaluation."""
        with ExitStack() as hooks:
            for hook in self.train_step.hooks:
                hooks.enter_context(hook.evaluated())
            yield self.model

    @property
    def epochs(self) -> float:
        """Passes over the data so far; a batch counts from its beginning."""
        return self.batches / self.train.steps_per_epoch

    def _epoch(self, epoch: int, optimizers: Optimizers) -> float:
        """Train for an epoch; returns the mean loss of its examples."""
        train_step, ranks, summed = self.train_step, self.train_step.ranks, self.train_step.loss.reduction == "sum"
        device = train_step.precision.device
        loss_sum = torch.zeros((), device=device.torch)
        examples_before, next_report_s = self.examples, time.monotonic()
        for batch, position, stage in self._steps(epoch):
            loss = train_step(batch, optimizers, position, stage)
            self.step += 1
            count = train_step.count(len(batch))
            self.examples += count * ranks.count
            self.examples_by_work[stage.pixels, optimizers.trained] += count * ranks.count
            for follow in self._after_step:
                follow(self.step, self.total_steps)
            loss_sum += loss if summed else loss * count
            if time.monotonic() >= next_report_s:
                next_report_s = time.monotonic() + REPORT_EVERY_S
                per_example = loss.item() / (count if summed else 1) if device.reads_are_free else None
                self._report_step(epoch, per_example)
        mean_loss = ranks.sum(loss_sum).item() / (self.examples - examples_before)
        if not math.isfinite(mean_loss):
            raise Diverged(f"the loss is {mean_loss} in epoch {epoch + 1}, by step {self.step}")
        return mean_loss

    def _steps(self, epoch: int) -> Iterator[tuple[Examples, float, Stage]]:
        """The batch of each step, the number of whole batches before it, and its stage."""
        for batch in self._batches(epoch):
            before, stage = self.batches, self.curriculum.stage(self.batches)
            self.batches += 1
            for index, part in enumerate(stage.cut(batch)):
                yield part, before + index / stage.steps, stage
            if self.batches == self.curriculum.total_batches:
                return

    def _batches(self, epoch: int) -> Iterable[Examples]:
        for draw in self._draw:
            drawn: Iterator[Examples] = draw(epoch, self.curriculum.batches_in(epoch))
            return drawn
        return itertools.starmap(Examples, self.train.epoch(epoch))

    def _evaluate(self, epoch: int, last: bool) -> float | None:
        """The epoch's accuracy, None if none is due; the last one is the final accuracy if both are evaluated alike."""
        every = self.goal.eval_every_epochs
        if last and self.goal.tta == self.goal.epoch_tta:
            return self._final_accuracy()
        if not every or ((epoch + 1 < self.goal.first_eval_epoch or (epoch + 1) % every) and not last):
            return None
        with self.clock.span("eval", epoch + 1):
            return self._accuracy(self.goal.epoch_tta)

    def _final_accuracy(self) -> float:
        with self.clock.span("final_eval"):
            return self._accuracy(self.goal.tta)

    def _accuracy(self, tta: int) -> float:
        with self.evaluated():
            accuracy = self._test_accuracy(tta)
        self._note_target(accuracy)
        return accuracy

    def _note_target(self, accuracy: float | None, loss: float | None = None) -> None:
        if self.time_to_target_s is None and self.goal.reached_by(accuracy, loss):
            self.time_to_target_s = self.clock.elapsed_s()

    def _test_accuracy(self, tta: int) -> float:
        """The accuracy with the present weights."""
        step, goal = self.train_step, self.goal
        batches = self.test.epoch(0)
        return evaluation.accuracy(
            step.forward, batches, step.precision, tta, step.ranks, goal.tta_below, goal.equal_views
        )

    def _record(self, epoch: int, mean_loss: float, optimizers: Optimizers, accuracy: float | None) -> None:
        row = {
            "epoch": epoch + 1,
            "steps": self.step,
            "examples": self.examples,
            "train_s": self.clock.total_s("train"),
            "loss": mean_loss,
            "lr": optimizers.lr,
            "momentum": optimizers.momentum,
            "lr_role": optimizers.main_role,
            "accuracy": accuracy,
        }
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
