"""One run, in a process of its own: build what the recipe says, train it, and tell the parent all about it.

The parent is told by flat messages over a pipe (see `bench.runner`), so that whatever ends this process,
what was measured until then is known.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.clock import Clock
from bench.errors import BenchError, MissingError, UsageError
from bench.recipe import Recipe

TELL_DOWNLOAD_EVERY_S = 0.25


@dataclass(frozen=True)
class Job:
    """What a worker is told.

    `origin_s` is the reading of `time.monotonic` at which the user's command, or this run of several,
    began.
    """

    recipe: Recipe
    seed: int
    device: str
    data_dir: Path | None
    cache: Path
    log: Path
    origin_s: float


class Teller:
    """The worker's end of the pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def __call__(self, kind: str, **values: Any) -> None:
        try:
            self._pipe.send({"kind": kind, **values})
        except (BrokenPipeError, ConnectionResetError):
            # Nobody is left to record this run, and a worker must not outlive its parent.
            os._exit(1)


def work(job: Job, pipe: Connection) -> None:
    """The entry of the worker's process; its output goes to the job's log.

    SIGTERM ends the run early, recorded as interrupted. SIGINT is left to the parent, which gets it from
    the same key and decides.
    """
    _redirect_output(job.log)
    signal.signal(signal.SIGTERM, _interrupt)
    tell = Teller(pipe)
    measurement = Measurement(job, tell)
    try:
        measurement.run()
    except KeyboardInterrupt:
        measurement.end("interrupted", "stopped by the user")
    except Exception as error:
        traceback.print_exc()
        refusal = _as_refusal(error)
        if refusal:
            tell("refused", message=str(refusal), exit_code=refusal.exit_code)
        else:
            measurement.end(*_status_of(error))


def _interrupt(signum: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


class Measurement:
    """Training to a target, in spans."""

    def __init__(self, job: Job, tell: Teller) -> None:
        self.job, self.tell = job, tell
        self.clock = Clock(job.origin_s, entered=self._entered)
        self.metrics: dict[str, Any] = {"target_accuracy": job.recipe.target_accuracy}
        self._trainer: Any = None
        self._device: Any = None

    def run(self) -> None:
        """Measure and tell the end; raises whatever goes wrong on the way."""
        import torch

        from bench import assembly, machine, provenance
        from bench.training.device import Device
        from bench.training.flops import forward_flops, training_flops
        from bench.training.precision import Precision
        from pipelines.augment import Augment
        from pipelines.datasets import load_dataset
        from pipelines.loader import Placement
        from pipelines.loaders import make_loader

        job, recipe, clock = self.job, self.job.recipe, self.clock
        clock.add("import", 0.0, clock.elapsed_s())

        torch.manual_seed(job.seed)
        self._device = device = Device(job.device, recipe.threads)
        clock.timeline = device
        precision = Precision(recipe.precision, device)
        memory_format = assembly.MEMORY_FORMATS[recipe.memory_format]
        self.tell(
            "facts",
            machine=machine.fingerprint(),
            versions=provenance.versions(),
            resolved={"precision": precision.name, "threads": torch.get_num_threads()},
        )
        with ExitStack() as stack:
            with clock.span("data"):
                data = load_dataset(
                    recipe.data.name, data_dir=job.data_dir, options=recipe.data.options, progress=self._download_progress()
                )
                placement = Placement(device.torch, precision.inputs, memory_format)
                train, test = (
                    stack.enter_context(
                        make_loader(
                            recipe.loader,
                            data,
                            split,
                            batch_size,
                            augment,
                            placement,
                            seed=job.seed,
                            workers=recipe.workers,
                            cache=job.cache,
                        )
                    )
                    for split, batch_size, augment in (
                        ("train", recipe.batch_size, Augment(**recipe.augment.model_dump())),
                        ("test", recipe.evaluation.batch_size, Augment()),
                    )
                )
            self.tell("facts", data=_describe(data))
            device.reset_peak_memory()
            with clock.span("build"):
                model = assembly.build_model(recipe, data)
                self.metrics["parameters"] = sum(p.numel() for p in model.parameters())
            with clock.span("init"):
                assembly.init_from_data(model, data)
                precision.prepare(model, memory_format)
                trainer = assembly.build_trainer(recipe, model, precision, train, test, clock, self._report)
                self._trainer = trainer
            with clock.span("compile"):
                train.warm_up()
                test.warm_up()
                if recipe.compile:
                    trainer.warm_up(recipe.warm_up_steps, *_made_up_batch(recipe, data, placement))
            if recipe.warm_up_steps and not recipe.compile:
                with clock.span("warm_up"):
                    trainer.warm_up(recipe.warm_up_steps, *_made_up_batch(recipe, data, placement))
            trainer.run()
            # Counted last, because it is no part of what the user waits for.
            images, _ = _made_up_batch(recipe, data, placement)
            with precision.autocast():
                flops = forward_flops(model, images[:1])
            self.metrics["forward_flops_per_example"] = flops
            self.metrics["train_flops"] = training_flops(flops, trainer.examples)
        self.end(*self._verdict())

    def end(self, status: str, reason: str | None) -> None:
        """Tell how it ended, with all that was measured until here."""
        if self._trainer is not None:
            self.metrics |= self._trainer_metrics(self._trainer)
        if self._device is not None:
            self.metrics |= self._device.peak_memory()
        self.metrics["total_s"] = self.clock.elapsed_s()
        self.tell("end", status=status, reason=reason, metrics=self.metrics, spans=list(self.clock.spans))

    def _trainer_metrics(self, trainer: Any) -> dict[str, Any]:
        train_s = self.clock.total_s("train")
        rows = trainer.rows
        return {
            "accuracy": trainer.accuracy,
            "reached": trainer.goal.reached_by(trainer.accuracy) if trainer.goal.target_accuracy else None,
            "epochs": trainer.step / trainer.train.steps_per_epoch,
            "steps": trainer.step,
            "examples": trainer.examples,
            "loss": rows[-1]["loss"] if rows else None,
            "train_s": train_s,
            "samples_per_s": trainer.examples / train_s if train_s and trainer.examples else None,
        }

    def _verdict(self) -> tuple[str, str | None]:
        goal, accuracy = self._trainer.goal, self._trainer.accuracy
        if goal.target_accuracy is None or goal.reached_by(accuracy):
            return "ok", None
        return "not_reached", f"accuracy {accuracy:.2%} is below the target of {goal.target_accuracy:.2%}"

    def _entered(self, phase: str) -> None:
        self.tell("phase", name=phase, spans=list(self.clock.spans))

    def _report(self, event: dict[str, Any]) -> None:
        self.tell(**event)

    def _download_progress(self) -> Any:
        next_s = 0.0

        def progress(what: str, done_bytes: int, total_bytes: int | None) -> None:
            nonlocal next_s
            if time.monotonic() >= next_s or done_bytes == total_bytes:
                next_s = time.monotonic() + TELL_DOWNLOAD_EVERY_S
                self.tell("download", what=what, done_bytes=done_bytes, total_bytes=total_bytes)

        return progress


def _describe(data: Any) -> dict[str, Any]:
    return {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "official": data.official,
        "train_count": len(data.train),
        "test_count": len(data.test),
    }


def _made_up_batch(recipe: Recipe, data: Any, placement: Any) -> Any:
    """Random images and labels of a training batch's shapes."""
    import torch

    generator = torch.Generator().manual_seed(0)
    images = torch.randn(recipe.batch_size, *data.image_shape, generator=generator)
    labels = torch.randint(data.classes, (recipe.batch_size,), generator=generator)
    images = images.to(placement.device, placement.dtype, memory_format=placement.memory_format)
    return images, labels.to(placement.device)


def _as_refusal(error: Exception) -> BenchError | None:
    """The user's mistake behind an error, None where it is the run itself that failed."""
    from models import ImpossibleModel
    from pipelines.errors import PipelineError, WrongOption

    if isinstance(error, BenchError):
        return error
    if isinstance(error, ImpossibleModel | WrongOption):
        return UsageError(str(error))
    if isinstance(error, PipelineError):
        return MissingError(str(error))
    return None


def _status_of(error: Exception) -> tuple[str, str]:
    """The status and the reason of a run that an error ended."""
    import torch

    from bench.training.loop import Diverged

    first_line = (str(error).splitlines() or [""])[0]
    if isinstance(error, Diverged):
        return "diverged", first_line
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error):
        return "oom", first_line or "out of memory"
    return "failed", f"{type(error).__name__}: {first_line}"


def _redirect_output(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
