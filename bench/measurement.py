"""Time to accuracy: load, build, train and evaluate what a recipe says, every phase a span.

Importing this imports torch and all that training needs, so that the worker can time it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch._dynamo  # the first optimiser would import it, a second in the middle of the run

from bench import assembly, machine, provenance
from bench.clock import Clock
from bench.errors import BenchError, MissingError, UsageError
from bench.run import Status
from bench.training.device import Device
from bench.training.flops import forward_flops, training_flops
from bench.training.loop import Diverged, Trainer
from bench.training.precision import Precision
from models import ImpossibleModel
from pipelines.augment import Augment
from pipelines.dataset import Dataset
from pipelines.datasets import load_dataset
from pipelines.errors import PipelineError, WrongOption
from pipelines.loader import Loader, Placement
from pipelines.loaders import make_loader

if TYPE_CHECKING:
    from bench.worker import Job, Teller

TELL_DOWNLOAD_EVERY_S = 0.25


class TimeToAccuracy:
    """One run of `job`, told to the parent as it goes on."""

    def __init__(self, job: Job, clock: Clock, tell: Teller) -> None:
        self.job, self.recipe, self.clock, self.tell = job, job.recipe, clock, tell
        self.metrics: dict[str, Any] = {"target_accuracy": job.recipe.target_accuracy}
        self._trainer: Trainer | None = None
        self._device: Device | None = None
        clock.entered = self._entered

    def run(self) -> None:
        """Measure and tell the end; raises whatever goes wrong on the way."""
        job, recipe, clock = self.job, self.recipe, self.clock
        torch.manual_seed(job.seed)
        self._device = device = Device(job.device, recipe.threads)
        clock.timeline = device
        precision = Precision(recipe.precision, device)
        placement = Placement(device.torch, precision.inputs, assembly.MEMORY_FORMATS[recipe.memory_format])
        self.tell(
            "facts",
            machine=machine.fingerprint(),
            versions=provenance.versions(),
            resolved={"precision": precision.name, "threads": torch.get_num_threads()},
        )
        with ExitStack() as open_loaders:
            with clock.span("data"):
                data = load_dataset(
                    recipe.data.name,
                    data_dir=job.data_dir,
                    options=recipe.data.options,
                    progress=self._download_progress(),
                )
                train = open_loaders.enter_context(self._loader(data, "train", placement))
                test = open_loaders.enter_context(self._loader(data, "test", placement))
            self.tell("facts", data=_describe(data))
            device.reset_peak_memory()
            with clock.span("build"):
                model = assembly.build_model(recipe, data)
            with clock.span("init"):
                assembly.init_from_data(model, data)
                precision.prepare(model, placement.memory_format)
                trainer = assembly.build_trainer(recipe, model, precision, train, test, clock, self._report)
            self._trainer = trainer
            images, labels = _made_up_batch(recipe.batch_size, data, placement)
            with clock.span("compile"):
                train.warm_up()
                test.warm_up()
                if recipe.compile:
                    trainer.warm_up(recipe.warm_up_steps, images, labels)
            if recipe.warm_up_steps and not recipe.compile:
                with clock.span("warm_up"):
                    trainer.warm_up(recipe.warm_up_steps, images, labels)
            trainer.run()
            # Counted last, because it is no part of what the user waits for.
            with precision.autocast():
                flops = forward_flops(model, images[:1])
            self.metrics["forward_flops_per_example"] = flops
            self.metrics["train_flops"] = training_flops(flops, trainer.examples)
        self.end(*self._verdict(trainer))

    def end(self, status: Status, reason: str | None) -> None:
        """Tell how it ended, with all that was measured until here."""
        if self._trainer is not None:
            self.metrics |= self._training_metrics(self._trainer)
        if self._device is not None:
            self.metrics |= self._device.peak_memory()
        self.metrics["total_s"] = self.clock.spans[-1].end_s
        self.tell("end", status=status, reason=reason, metrics=self.metrics, spans=self._spans())

    def _loader(self, data: Dataset, split: Literal["train", "test"], placement: Placement) -> Loader:
        recipe, is_train = self.recipe, split == "train"
        return make_loader(
            recipe.loader,
            data,
            split,
            recipe.batch_size if is_train else recipe.evaluation.batch_size,
            Augment(**recipe.augment.model_dump()) if is_train else Augment(),
            placement,
            seed=self.job.seed,
            workers=recipe.workers,
            cache=self.job.cache,
        )

    def _training_metrics(self, trainer: Trainer) -> dict[str, Any]:
        train_s = self.clock.total_s("train")
        return {
            "accuracy": trainer.accuracy,
            "reached": trainer.goal.reached_by(trainer.accuracy) if trainer.goal.target_accuracy else None,
            "epochs": trainer.step / trainer.train.steps_per_epoch,
            "steps": trainer.step,
            "examples": trainer.examples,
            "loss": trainer.rows[-1]["loss"] if trainer.rows else None,
            "train_s": train_s,
            "samples_per_s": trainer.examples / train_s if trainer.examples else None,
            "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        }

    @staticmethod
    def _verdict(trainer: Trainer) -> tuple[Status, str | None]:
        target, accuracy = trainer.goal.target_accuracy, trainer.accuracy
        if target is None or trainer.goal.reached_by(accuracy):
            return "ok", None
        return "not_reached", f"accuracy {accuracy:.2%} is below the target of {target:.2%}"

    def _spans(self) -> list[dict[str, Any]]:
        return [asdict(span) for span in self.clock.spans]

    def _entered(self, phase: str) -> None:
        self.tell("phase", name=phase, spans=self._spans())

    def _report(self, event: dict[str, Any]) -> None:
        self.tell(**event)

    def _download_progress(self) -> Callable[[str, int, int | None], None]:
        next_s = 0.0

        def progress(what: str, done_bytes: int, total_bytes: int | None) -> None:
            nonlocal next_s
            if time.monotonic() >= next_s or done_bytes == total_bytes:
                next_s = time.monotonic() + TELL_DOWNLOAD_EVERY_S
                self.tell("download", what=what, done_bytes=done_bytes, total_bytes=total_bytes)

        return progress


def _describe(data: Dataset) -> dict[str, Any]:
    return {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "official": data.official,
        "train_count": len(data.train),
        "test_count": len(data.test),
    }


def _made_up_batch(size: int, data: Dataset, placement: Placement) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise and labels of a training batch's shapes."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size, *data.image_shape, generator=generator)
    labels = torch.randint(data.classes, (size,), generator=generator)
    placed = images.to(placement.device, placement.dtype, memory_format=placement.memory_format)
    return placed, labels.to(placement.device)


def as_refusal(error: Exception) -> BenchError | None:
    """The user's mistake behind an error, None where it is the run itself that failed."""
    if isinstance(error, BenchError):
        return error
    if isinstance(error, ImpossibleModel | WrongOption):
        return UsageError(str(error))
    if isinstance(error, PipelineError):
        return MissingError(str(error))
    return None


def status_of(error: Exception) -> tuple[Status, str]:
    """The status and the reason of a run that an error ended."""
    first_line = (str(error).splitlines() or [""])[0]
    if isinstance(error, Diverged):
        return "diverged", first_line
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error):
        return "oom", first_line or "out of memory"
    return "failed", f"{type(error).__name__}: {first_line}"
