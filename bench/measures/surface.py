"""Surface: train, then look at the loss around the weights, in two random directions with the filters' lengths."""

from __future__ import annotations

from itertools import islice

import torch
from torch import Tensor

from bench.measures.time_to_accuracy import TimeToAccuracy
from bench.pipelines.augment import seeded_generator
from bench.pipelines.loader import Loader
from bench.runs.run import Status
from bench.spec.measure_options import SurfaceOptions
from bench.training.loop import Loop
from bench.training.loss_surface import loss_slice, random_direction, relief, roughness
from bench.training.sizes import resized
from bench.training.state import State
from bench.training.trainer import Trainer


class Surface(TimeToAccuracy):
    """Trains as `time_to_accuracy` does, without a target, and behind its clock computes a slice of the training loss.

    The loss is of the network in evaluation, on batches of the training loader's first epoch. The slice is in
    `resolved.surface`: `steps`, and `loss` with a row for each step in the first direction.
    """

    def _train(self, trainer: Loop, images: Tensor, saved: State | None = None) -> tuple[Status, str | None]:
        assert isinstance(trainer, Trainer)  # a recipe with a task has no such measure
        status, reason = super()._train(trainer, images, saved)
        options = self.recipe.surface or SurfaceOptions()
        generator = seeded_generator(self.job.seed, "surface")
        half = options.points // 2
        steps = [options.reach * (index - half) / half for index in range(2 * half + 1)]
        with self.clock.span("surface"):
            batches = self._batches(trainer, options.images)
            directions = random_direction(trainer.model, generator), random_direction(trainer.model, generator)
            trainer.model.eval()
            slice_ = loss_slice(trainer.model, directions, steps, lambda: self._loss(trainer, batches))
            trainer.model.train()
        self.tell_resolved(surface={"steps": steps, "loss": slice_})
        centre = slice_[half][half]
        self.metrics |= {
            "roughness": roughness(slice_),
            "relief": relief(slice_),
            "centre_loss": centre,
            "highest_loss": max(map(max, slice_)),
        }
        return status, reason

    def _batches(self, trainer: Trainer, images: int) -> list[tuple[Tensor, Tensor]]:
        """At the size of the last step's images."""
        stage = trainer.curriculum.stage(trainer.curriculum.total_batches - 1)
        count = -(-images // trainer.train.batch_size) if isinstance(trainer.train, Loader) else 1
        batches = islice(trainer.train.epoch(0), count)
        return [(resized(some, stage.pixels, stage.antialias), labels) for some, labels in batches]

    @torch.no_grad()
    def _loss(self, trainer: Trainer, batches: list[tuple[Tensor, Tensor]]) -> float:
        """The mean over the images."""
        with self.precision.autocast():
            losses = [trainer.train_step.loss.of_each(trainer.model(images), labels) for images, labels in batches]
        return torch.cat(losses).mean().item()
