"""The training by a task: the loop of all trainings, with the task's steps, quality and pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from bench.host.clock import Clock
from bench.training.curriculum import Curriculum
from bench.training.examples import Examples
from bench.training.goal import Goal
from bench.training.loop import Batches, Diverged, Loop, Report
from bench.training.optimizers import Optimizers
from bench.training.state import State
from bench.training.task import Task
from bench.training.trainer_state import Stateful

LEAST_FOR_CORRELATION = 4

# Receives a picture's name, its epoch, counted from 1, and its pixels, uint8 [3, H, W].
Show = Callable[[str, int, Tensor], None]


class TaskTrainer(Loop):
    """Trains by `task` until the goal is reached; `show` receives its pictures after each evaluation.

    `measured` has all numbers of the last evaluation; `untrained` has those before any step, if the task asks for them.
    """

    def __init__(
        self,
        task: Task,
        train: Batches,
        goal: Goal,
        clock: Clock,
        report: Report = lambda _: None,
        show: Show = lambda *_: None,
    ) -> None:
        steps = Curriculum(goal.epochs, train.steps_per_epoch).total_batches
        super().__init__(task.parts.model, train, goal, clock, steps, task.parts.precision.device, report)
        self.task, self._show = task, show
        self.measured: dict[str, float] = {}
        self.untrained: dict[str, float] = {}

    def run(self, saved: State | None = None) -> None:
        """As every training; raises `Diverged` too if the quality is infinite or NaN."""
        if self.task.judges_untrained and saved is None:
            with self.clock.span("eval"):
                self.untrained = self.task.evaluate()
        super().run(saved)

    @property
    def loss_quality_correlation(self) -> float | None:
        """Spearman's correlation, over the epochs that were evaluated, of the loss and the quality; None of fewer than
        four, or where one of them does not vary."""
        from scipy.stats import spearmanr

        name = self.task.quality.name
        pairs = [(row["loss"], row[name]) for row in self.rows if name in row]
        if len(pairs) < LEAST_FOR_CORRELATION or any(len(set(values)) == 1 for values in zip(*pairs, strict=True)):
            return None
        return float(spearmanr(*zip(*pairs, strict=True)).statistic)

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        yield self.model

    def _begin(self) -> Optimizers:
        return self.task.begin()

    def _stateful(self, optimizers: Optimizers) -> Mapping[str, Stateful]:  # noqa: ARG002 - the task has them
        return {"task": self.task, "precision": self.task.parts.precision}

    def _state(self, optimizers: Optimizers) -> State:
        return {**super()._state(optimizers), "untrained": self.untrained}

    def _restore(self, optimizers: Optimizers, saved: State) -> None:
        self.untrained = saved["untrained"]
        super()._restore(optimizers, saved)

    def _steps(self, epoch: int, optimizers: Optimizers) -> Iterator[tuple[Tensor, int]]:  # noqa: ARG002 - the task has them
        for images, labels in self.train.epoch(epoch):
            position, self.batches = self.batches, self.batches + 1
            yield self.task.step(Examples(images, labels), position) * len(labels), len(labels)
            if self.batches == self.total_steps:
                return

    def _measured(self, final: bool) -> float:  # noqa: ARG002 - both are alike
        self.measured = self.task.evaluate()
        name = self.task.quality.name
        quality = self.measured[name]
        if not math.isfinite(quality):
            raise Diverged(f"{name} is {quality} after step {self.step}")
        return quality

    def _row(self, quality: float | None) -> dict[str, Any]:
        return self.task.epoch_figures() | ({} if quality is None else self.measured)

    def _record(self, epoch: int, mean_loss: float, optimizers: Optimizers, quality: float | None) -> None:
        super()._record(epoch, mean_loss, optimizers, quality)
        if quality is not None:
            with self.clock.span("draw", epoch + 1):
                for name, picture in self.task.pictures().items():
                    self._show(name, epoch + 1, picture)
