"""The training of a classifier: steps by examples, stages and hooks, and its accuracy on a test split."""

from __future__ import annotations

import copy
import gc
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.host.clock import Clock
from bench.training import evaluation
from bench.training.curriculum import Curriculum, Stage
from bench.training.evaluation import Answers
from bench.training.examples import Examples
from bench.training.goal import Goal
from bench.training.hook import overridden
from bench.training.loop import Batches, Loop, Report
from bench.training.optimizers import Optimizers
from bench.training.state import State, of_work, work_of
from bench.training.step import TrainingStep
from bench.training.trainer_state import Stateful


class Trainer(Loop):
    """Trains a classifier with `train_step` until the goal is reached, and evaluates its accuracy on `test`.

    Without a `curriculum`, every batch is one step.
    """

    def __init__(
        self,
        train_step: TrainingStep,
        train: Batches,
        test: Batches,
        goal: Goal,
        clock: Clock,
        curriculum: Curriculum | None = None,
        report: Report = lambda _: None,
    ) -> None:
        self.train_step, self.test = train_step, test
        self.curriculum = curriculum or Curriculum(goal.epochs, train.steps_per_epoch)
        super().__init__(
            train_step.model,
            train,
            goal,
            clock,
            self.curriculum.total_steps,
            train_step.precision.device,
            report,
            train_step.ranks,
        )
        self._draw, self._after_step = (overridden(train_step.hooks, name) for name in ("epoch", "after_step"))
        # Those of the last evaluation.
        self.answers: Answers | None = None
        # The number of examples shown, by pixels and set of trained parameters.
        self.examples_by_work: Counter[tuple[int | None, frozenset[nn.Parameter]]] = Counter()

    @property
    def accuracy(self) -> float | None:
        """That of the last evaluation, in [0, 1]."""
        return self.quality

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
                        self._test_answers(tta)
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

    def _begin(self) -> Optimizers:
        return self.train_step.begin()

    def _stateful(self, optimizers: Optimizers) -> Mapping[str, Stateful]:
        return {"optimizers": optimizers, "precision": self.train_step.precision}

    def _state(self, optimizers: Optimizers) -> State:
        hooks = [hook.state() for hook in self.train_step.hooks]
        return {**super()._state(optimizers), "hooks": hooks, "work": of_work(self.examples_by_work, self.model)}

    def _restore(self, optimizers: Optimizers, saved: State) -> None:
        for hook, one in zip(self.train_step.hooks, saved["hooks"], strict=True):
            hook.restore(one)
        self.examples_by_work = work_of(saved["work"], self.model)
        super()._restore(optimizers, saved)

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        """While entered, the model has the weights for evaluation."""
        with ExitStack() as hooks:
            for hook in self.train_step.hooks:
                hooks.enter_context(hook.evaluated())
            yield self.model

    def _steps(self, epoch: int, optimizers: Optimizers) -> Iterator[tuple[Tensor, int]]:
        train_step, summed = self.train_step, self.train_step.loss.reduction == "sum"
        for batch, position, stage in self._parts(epoch):
            loss = train_step(batch, optimizers, position, stage)
            count = train_step.count(len(batch))
            self.examples_by_work[stage.pixels, optimizers.trained] += count * self.ranks.count
            for follow in self._after_step:
                follow(self.step + 1, self.total_steps)
            yield loss if summed else loss * count, count

    def _parts(self, epoch: int) -> Iterator[tuple[Examples, float, Stage]]:
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

    def _measured(self, final: bool) -> float:
        return self._accuracy(self.goal.tta if final else self.goal.epoch_tta)

    def _row(self, quality: float | None) -> dict[str, Any]:
        answers = self.answers if quality is not None else None
        return {"accuracy": quality, "cross_entropy": answers.cross_entropy if answers else None}

    def _accuracy(self, tta: int) -> float:
        with self.evaluated():
            self.answers = self._test_answers(tta)
        return self.answers.accuracy

    def _test_answers(self, tta: int) -> Answers:
        """The answers with the present weights."""
        step, goal = self.train_step, self.goal
        batches = self.test.epoch(0)
        return evaluation.evaluate(
            step.forward, batches, step.precision, tta, step.ranks, goal.tta_below, goal.equal_views
        )
