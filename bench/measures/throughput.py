"""Throughput: samples/s of training steps, and of the same steps without the loader."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from torch import Tensor, nn

from bench.host.gc_pause import heap_frozen
from bench.measures import task_assembly
from bench.measures.base import Measure, parameter_count, remarks, seconds
from bench.measures.throttle import throttle_gauge
from bench.pipelines.dataset import Dataset
from bench.pipelines.loader import Batch, Loader, usable_cores
from bench.runs.run import Status
from bench.statistics.sampling import Samples, sample
from bench.training.curriculum import WHOLE
from bench.training.examples import Examples
from bench.training.hook import overridden
from bench.training.loop import Diverged
from bench.training.task import Task
from bench.training.trainer import Trainer

WITH_LOADER, WITHOUT_LOADER = "with the loader", "without the loader"
LEAST_WARM_UP_STEPS = 3
# An epoch up to this length is one block, so that the costs of its beginning have their true share.
WHOLE_EPOCH_S = 1.0
# For longer epochs, a block is a part of this length, long compared with the waits for the device at its ends.
BLOCK_S = 0.5


@dataclass(frozen=True)
class Block:
    """Steps that are timed together, after `lead_in` batches that are drawn and discarded, and one step."""

    steps: int
    lead_in: int


def block_of(step_s: float, steps_per_epoch: int, batches_ahead: int) -> Block:
    """The block for an epoch: all of it if it is short, else a part.

    A part does not include the beginning of the epoch, which would weigh too much. The up to `batches_ahead` batches
    that the loader has prepared are discarded, because otherwise the part would find its data ready. Then one step
    gives the loader the time that it has between any two steps, because otherwise the part would begin with a wait.
    """
    if step_s * steps_per_epoch <= WHOLE_EPOCH_S:
        return Block(steps_per_epoch, 0)
    steps = max(1, round(BLOCK_S / step_s))
    return Block(steps, min(batches_ahead, steps_per_epoch - steps))


class Throughput(Measure):
    """Alternates blocks of training steps with and without the loader; a sample is a block.

    A step is that of the training loop at the first learning rate, on whole batches of full-size images, even if the
    recipe starts smaller. Without the loader, the same batch is used again and again.
    """

    def measure(self, open_loaders: ExitStack) -> tuple[Status, str | None]:
        recipe, clock = self.recipe, self.clock
        data, (self._train,) = self.load(open_loaders, "train")
        model = self.build(data)
        with clock.span("init"):
            self._steps = self._make_steps(model, data)
        with clock.span("compile"):
            self._train.warm_up()
            self._batch = next(self._train.epoch(0))
            if recipe.compile:
                self._steps.run([self._batch])
            if recipe.cuda_graph and isinstance(self._steps, Steps):
                self._steps.capture(self._batch)
        with clock.span("warm_up"):
            warm_up_steps = max(recipe.warm_up_steps, LEAST_WARM_UP_STEPS)
            step_s = min(self._timed([self._batch]) for _ in range(warm_up_steps))
            self._block = block_of(step_s, self._train.steps_per_epoch, _batches_ahead(self._train))
        self._epoch = 0
        arms = {WITH_LOADER: self._block_with_loader, WITHOUT_LOADER: self._block_without_loader}
        with heap_frozen(), clock.span("measure"):
            sampled = sample(arms, self.job.sampling, self._throttled(), self.now, self._keep)
        self.metrics["parameters"] = parameter_count(model)
        if recipe.task is None:
            self.metrics["forward_flops_per_example"] = self.forward_flops(model, self._batch[0])
        return "ok", remarks(sampled)

    def _make_steps(self, model: nn.Module, data: Dataset) -> Steps | TaskSteps:
        if self.recipe.task is None:
            return Steps(self.trainer(model, data, self._train))
        self.prepare(model, data)
        made = task_assembly.build_task_trainer(
            self.recipe, model, data, self.precision, self._train, self._train, self.clock, self.job.seed, {}
        )
        return TaskSteps(made.task)

    def _block_with_loader(self) -> float:
        batches = self._train.epoch(self._epoch)
        self._epoch += 1
        for _ in range(self._block.lead_in):
            next(batches)
        if self._block.lead_in:
            self._steps.run([self._batch])
        if self._block.steps == self._train.steps_per_epoch:
            # To the loader's own end, as in a training, because there it may prepare the next epoch.
            return self._timed(batches)
        return self._timed(itertools.islice(batches, self._block.steps))

    def _block_without_loader(self) -> float:
        return self._timed(itertools.repeat(self._batch, self._block.steps))

    def _timed(self, batches: Iterable[Batch]) -> float:
        """Seconds of a step on each batch.

        Raises `Diverged` if the loss is not finite: a loss scaler would skip steps, and the timed work would not be
        training.
        """
        span = self.timed(lambda: self._steps.run(batches))
        loss = self.ranks.sum(self._steps.loss.clone()).item()
        if not math.isfinite(loss):
            raise Diverged(f"the loss is {loss} after {self._steps.count} steps; lower optimizer.lr")
        self.tell_step(self._steps.count, self._steps.count * self._examples_per_step)
        return seconds(span)

    @property
    def _examples_per_step(self) -> int:
        return self._train.batch_size * self.ranks.count

    def _throttled(self) -> Callable[[], bool]:
        """Whether the clock of any rank's device is down."""
        gauge = throttle_gauge(self.device)
        return lambda: any(down for (down,) in self.ranks.gather([gauge()]))

    def _keep(self, sampled: dict[str, Samples]) -> None:
        loaded, bare = sampled[WITH_LOADER], sampled[WITHOUT_LOADER]
        steps = self._block.steps
        examples = steps * self._examples_per_step
        self.metrics |= {
            "samples_per_s": examples / loaded.mean_s,
            "samples_per_s_without_loader": examples / bare.mean_s,
            "loader_cost_fraction": 1 - bare.mean_s / loaded.mean_s,
            "step_median_s": loaded.median_s / steps,
            "step_p95_s": loaded.p95_s / steps,
            "step_min_s": loaded.min_s / steps,
            "step_without_loader_median_s": bare.median_s / steps,
            "block_steps": steps,
            **loaded.quality(),
            **bare.quality("without_loader_"),
        }


class Steps:
    """Training steps that are all like the first of a run: the same learning rate, and every role trained."""

    loss: Tensor

    def __init__(self, trainer: Trainer) -> None:
        self.count = 0
        self._train_step, self._total_steps = trainer.train_step, trainer.total_steps
        self._optimizers = self._train_step.begin()
        self._after_step = overridden(self._train_step.hooks, "after_step")

    def capture(self, batch: Batch) -> None:
        """Replay all further steps as a graph of this one."""
        self._train_step.capture(Examples(*batch), self._optimizers, 0, WHOLE)

    def run(self, batches: Iterable[Batch]) -> None:
        """A step on each batch; `loss` is that of the last batch, float32 [] on the device."""
        for images, labels in batches:
            self.loss = self._train_step(Examples(images, labels), self._optimizers, 0)
            self.count += 1
            for follow in self._after_step:
                follow(self.count % self._total_steps, self._total_steps)


class TaskSteps:
    """Steps by a task as at its beginning, at the first learning rate."""

    loss: Tensor

    def __init__(self, task: Task) -> None:
        self.count, self._task = 0, task
        task.begin()

    def run(self, batches: Iterable[Batch]) -> None:
        """A step on each batch; `loss` is that of the last batch, float32 [] on the device."""
        for images, labels in batches:
            self.loss = self._task.step(Examples(images, labels), 0)
            self.count += 1


def _batches_ahead(loader: Loader) -> int:
    """How many batches a loader may prepare ahead: two a worker with torch, three with ffcv."""
    workers = usable_cores() if loader.workers is None else loader.workers
    return max(2 * workers, 3)
