"""The training loop: epochs of steps until the target or the last epoch, with nothing in it but training.

It knows a model, batches and a clock. What of its time counts is decided elsewhere, from the spans.
"""

from __future__ import annotations

import copy
import gc
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bench.host.clock import Clock
from bench.ingredients.cutmix import CutMix, Mixed
from bench.ingredients.ema import Ema
from bench.ingredients.hard_examples import HardExamples
from bench.ingredients.lookahead import Lookahead
from bench.training import evaluation
from bench.training.cuda_graph import Work
from bench.training.loss import Loss
from bench.training.optimizers import Optimizers
from bench.training.plan import WHOLE, Plan, Stage
from bench.training.precision import Precision
from bench.training.proxy import Proxy
from bench.training.ranks import ALONE, Ranks
from bench.training.sizes import resized

REPORT_EVERY_S = 0.25


class Diverged(Exception):
    """The loss is no longer a finite number."""


class Batches(Protocol):
    @property
    def steps_per_epoch(self) -> int: ...

    def epoch(self, epoch: int) -> Iterable[tuple[Tensor, Tensor]]:
        """Images [B, C, H, W] and labels int64 [B] of epoch number `epoch`, counted from 0."""


@dataclass(frozen=True)
class Goal:
    """How long to train, when to look, and what to reach: an accuracy in [0, 1], or an epoch's mean training loss."""

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
    """Trains `model` through `forward` (the model itself, or its compiled form).

    `report` is told of steps, a few times a second, and of every epoch, as flat dictionaries. The
    state after an exception is the state up to it: `rows`, `step` and `examples` stay readable.
    `time_to_target_s` is when an accuracy at the target, or an epoch's loss, was first known, on the clock.

    `plan` None trains on every batch whole. `accumulate` parts of a step's batch go through the network one after
    the other, and their gradients are added up. `make_averages` makes what follows the weights after each step; an
    `Ema` is evaluated in their place. `hard_examples` draws the batches of `train` instead, chooses the images of the
    epochs that the plan makes short, and is told each image's loss. `proxy` chooses which images of each batch are
    trained on, and only those are counted. `capture` records a step as a CUDA graph (`Captured`) during the
    warm-up, which is needed then, once for every kind of step; later steps replay it. It goes neither with `cutmix` nor
    with `proxy`.
    """

    def __init__(
        self,
        model: nn.Module,
        forward: nn.Module,
        make_optimizers: Callable[[], Optimizers],
        precision: Precision,
        loss: Loss,
        goal: Goal,
        train: Batches,
        test: Batches,
        clock: Clock,
        make_averages: Callable[[], Sequence[Lookahead | Ema]] = tuple,
        report: Callable[[dict[str, Any]], None] = lambda _: None,
        ranks: Ranks = ALONE,
        plan: Plan | None = None,
        accumulate: int = 1,
        cutmix: CutMix | None = None,
        hard_examples: HardExamples | None = None,
        capture: Callable[[Work, Sequence[Tensor]], Work] | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self.model, self.forward, self.ranks = model, forward, ranks
        self.precision, self.loss, self.goal = precision, loss, goal
        self.train, self.test, self.clock = train, test, clock
        self.make_optimizers, self.make_averages = make_optimizers, make_averages
        self.plan = plan or Plan(goal.epochs, train.steps_per_epoch)
        self._accumulate, self._cutmix, self._hard_examples = accumulate, cutmix, hard_examples
        self._capture, self.proxy = capture, proxy
        self._captured: dict[tuple[Stage, tuple[bool, ...]], Work] = {}
        self._captured_optimizers: Optimizers | None = None
        self._averages: Sequence[Lookahead | Ema] = ()
        self._report = report
        self.total_steps = self.plan.total_steps
        self.rows: list[dict[str, Any]] = []
        self.step = self.batches = self.examples = 0
        # How many examples were shown at so many pixels while these parameters were trained.
        self.examples_by_work: Counter[tuple[int | None, frozenset[nn.Parameter]]] = Counter()
        self.accuracy: float | None = None
        self.time_to_target_s: float | None = None

    def warm_up(self, steps: int, images: Tensor, labels: Tensor) -> None:
        """Pay compilation and autotuning on made-up batches of the real shapes, then forget what was learnt.

        The weights, the batch statistics, the loss scale and the random state are put back, so that a run with a
        warm-up trains exactly as one without.
        """
        before = copy.deepcopy(self.model.state_dict())
        devices = [images.device] if images.is_cuda else []
        numbers = torch.arange(len(labels), device=images.device) if self._hard_examples else None
        with torch.random.fork_rng(devices), self.proxy.forgotten() if self.proxy else nullcontext():
            optimizers = self.make_optimizers()
            *_, last = changes = self._changes(optimizers)
            for start in changes:
                stage = self.plan.stage(start)
                some_images, some_labels = next(stage.cut(images, labels))
                some_numbers = _parts(numbers, stage.steps)[0]
                if self.proxy:
                    small = resized(some_images, stage.pixels, stage.antialias)
                    self.proxy.rehearse(small, some_labels, start, stage.lr_factor)
                for _ in range(steps):
                    self.train_step(some_images, some_labels, optimizers, start, stage, some_numbers)
                if self._capture:
                    self.capture(some_images, some_labels, optimizers, start, stage, some_numbers)
                # A compiled network is another one when less of it is trained, at evaluation as well.
                if evaluation.is_compiled(self.forward) or start == last:
                    for tta in {self.goal.tta, self.goal.epoch_tta}:
                        self._share_right(tta)
        optimizers.reset()
        self.model.load_state_dict(before)
        self.precision.reset()
        if self._hard_examples:
            self._hard_examples.reset()
        gc.collect()  # what compiling left behind, which would else be looked for in an epoch

    def take_over(self, before: Trainer) -> None:
        """Replay the steps that `before`, a trainer of the same network by the same recipe, has captured.

        Its optimisers begin anew, in the memory that the captured steps know.
        """
        self._captured, self._captured_optimizers = before._captured, before._captured_optimizers
        if self._captured_optimizers:
            self._captured_optimizers.reset()
        if self._captured and before._hard_examples:  # where the captured steps note the losses
            self._hard_examples = before._hard_examples
            self._hard_examples.reset()

    def _changes(self, optimizers: Optimizers) -> list[int]:
        """The batches, by their number from 0, that are the first of another step than those before."""
        changes = set(self.plan.starts)
        if self._capture or evaluation.is_compiled(self.forward):
            changes |= {end for end in optimizers.ends if end < self.plan.total_batches}
        return sorted(changes)

    def run(self) -> None:
        """Train to the end or to the target.

        Raises `Diverged` when the loss turns infinite or NaN.
        """
        with self.clock.span("init"):
            optimizers = self._captured_optimizers or self.make_optimizers()
            self._averages = self.make_averages()
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
        """The model with the weights that are evaluated, in place; afterwards with its own again."""
        ema = next((average for average in self._averages if isinstance(average, Ema)), None)
        with ema.applied() if ema else nullcontext():
            yield self.model

    @property
    def epochs(self) -> float:
        """Passes over the data until now; a batch counts from its beginning."""
        return self.batches / self.train.steps_per_epoch

    def _epoch(self, epoch: int, optimizers: Optimizers) -> float:
        precision, free_reads = self.precision, self.precision.device.reads_are_free
        loss_sum = torch.zeros((), device=precision.device.torch)
        examples_before, next_report_s = self.examples, time.monotonic()
        for images, labels, numbers, progress, stage in self._steps(epoch):
            loss = self.train_step(images, labels, optimizers, progress, stage, numbers)
            self.step += 1
            count = self.proxy.count(len(labels)) if self.proxy else len(labels)
            self.examples += count * self.ranks.count
            self.examples_by_work[stage.pixels, optimizers.trained] += count * self.ranks.count
            for average in self._averages:
                average.update(self.step, self.total_steps)
            loss_sum += loss if self.loss.reduction == "sum" else loss * count
            if time.monotonic() >= next_report_s:
                next_report_s = time.monotonic() + REPORT_EVERY_S
                per_example = loss.item() / (count if self.loss.reduction == "sum" else 1) if free_reads else None
                self._report_step(epoch, per_example)
        mean_loss = self.ranks.sum(loss_sum).item() / (self.examples - examples_before)
        if not math.isfinite(mean_loss):
            raise Diverged(f"the loss is {mean_loss} in epoch {epoch + 1}, by step {self.step}")
        return mean_loss

    def _steps(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor | None, float, Stage]]:
        """The batch of each step, its images' numbers, how many whole batches came before it, and its stage."""
        for images, labels, numbers in self._batches(epoch):
            before, stage = self.batches, self.plan.stage(self.batches)
            self.batches += 1
            steps = zip(stage.cut(images, labels), _parts(numbers, stage.steps), strict=True)
            for index, (step, step_numbers) in enumerate(steps):
                yield *step, step_numbers, before + index / stage.steps, stage
            if self.batches == self.plan.total_batches:
                return

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """Images, labels and, where examples are chosen by their loss, the images' numbers."""
        if self._hard_examples:
            yield from self._hard_examples.epoch(epoch, self.plan.batches_in(epoch))
        else:
            for images, labels in self.train.epoch(epoch):
                yield images, labels, None

    def train_step(
        self,
        images: Tensor,
        labels: Tensor,
        optimizers: Optimizers,
        step: float,
        stage: Stage = WHOLE,
        numbers: Tensor | None = None,
    ) -> Tensor:
        """One step on images [B, C, H, W] and labels int64 [B], `step` whole batches into the schedule; the loss.

        With the images' `numbers`, int64 [B], the loss of each is noted.
        """
        optimizers.set_progress(step, stage.lr_factor)
        if self.proxy:
            images = resized(images, stage.pixels, stage.antialias)
            images, labels = self.proxy.choose(images, labels, step, stage.lr_factor)
        if optimizers is self._captured_optimizers and (step_graph := self._captured.get((stage, optimizers.stopped))):
            return step_graph(*_given(images, labels, numbers))
        return self._compute(images, labels, optimizers, step, stage, numbers)

    def capture(
        self,
        images: Tensor,
        labels: Tensor,
        optimizers: Optimizers,
        step: float,
        stage: Stage,
        numbers: Tensor | None = None,
    ) -> None:
        """Capture this step, which really runs, too: from now on such steps with these optimisers are replayed."""
        optimizers.set_progress(step, stage.lr_factor)

        def work(images: Tensor, labels: Tensor, numbers: Tensor | None = None) -> Tensor:
            return self._compute(images, labels, optimizers, step, stage, numbers)

        assert self._capture is not None
        self._captured[stage, optimizers.stopped] = self._capture(work, _given(images, labels, numbers))
        self._captured_optimizers = optimizers

    def _compute(
        self,
        images: Tensor,
        labels: Tensor,
        optimizers: Optimizers,
        step: float,
        stage: Stage,
        numbers: Tensor | None = None,
    ) -> Tensor:
        """What of a step the device does, once the learning rates are set."""
        batch = Mixed(resized(images, stage.pixels, stage.antialias), labels)
        if self._cutmix:
            batch = self._cutmix(batch, step)
        *parts, last = zip(batch.split(self._accumulate), _parts(numbers, self._accumulate), strict=True)
        losses = []
        if parts:
            # DDP exchanges gradients once they are complete.
            with getattr(self.forward, "no_sync", nullcontext)():
                losses = [self._backward(*part) for part in parts]
        loss = sum(losses, start=self._backward(*last))
        self.precision.step(optimizers.all)
        optimizers.zero_grad()
        return loss

    def _backward(self, part: Mixed, numbers: Tensor | None) -> Tensor:
        """Add the gradients of a part of the batch to those of the parts before it; its part of the loss."""
        with self.precision.autocast():
            logits = self.forward(part.images)
        if self._hard_examples and numbers is not None:
            each = self.loss.of_each(logits, part.labels)
            self._hard_examples.note(numbers, each.detach())
            loss = self.loss.reduced(each)
        else:
            loss = self.loss(logits, part.labels, part.others, part.share)
        summed = self.loss.reduction == "sum"
        if self._accumulate > 1 and not summed:
            loss = loss / self._accumulate
        # The ranks' gradients are averaged; those of a sum are to be added up.
        self.precision.backward(loss * self.ranks.count if summed and self.ranks.count > 1 else loss)
        return loss.detach()

    def _evaluate(self, epoch: int, last: bool) -> float | None:
        """The epoch's accuracy, None where none is due; the last one is the final one where both are the same."""
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
            accuracy = self._share_right(tta)
        self._note_target(accuracy)
        return accuracy

    def _note_target(self, accuracy: float | None, loss: float | None = None) -> None:
        if self.time_to_target_s is None and self.goal.reached_by(accuracy, loss):
            self.time_to_target_s = self.clock.elapsed_s()

    def _share_right(self, tta: int) -> float:
        """Of the test set, by the weights as they are."""
        below, equal = self.goal.tta_below, self.goal.equal_views
        return evaluation.accuracy(self.forward, self.test.epoch(0), self.precision, tta, self.ranks, below, equal)

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


def _given(*tensors: Tensor | None) -> list[Tensor]:
    """Those that are there: the inputs of a captured step."""
    return [tensor for tensor in tensors if tensor is not None]


def _parts(numbers: Tensor | None, parts: int) -> Sequence[Tensor | None]:
    """Equal parts of the images' numbers, where there are any."""
    return [None] * parts if numbers is None else numbers.chunk(parts)
