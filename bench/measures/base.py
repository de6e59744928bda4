"""What all measures share: the device, data, loaders and networks of a recipe, and the words told to the parent.

Importing this imports torch and all that measuring needs, so that the worker can time it.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
import torch._dynamo  # the first optimiser would import it, a second in the middle of the run
from torch import Tensor, nn

from bench.errors import BenchError, MissingError, UsageError
from bench.host import contention, fingerprint, gpus, openmp, provenance
from bench.host.clock import Clock, Span
from bench.host.energy import EnergyMeter, open_counter
from bench.host.start import start_of_this_process
from bench.measures import assembly
from bench.models import ImpossibleModel
from bench.pipelines.augment import seeded_generator
from bench.pipelines.dataset import Dataset
from bench.pipelines.datasets import load_dataset
from bench.pipelines.errors import PipelineError, WrongOption
from bench.pipelines.loader import Loader, Placement, Shard, usable_cores
from bench.runs.run import FINISHED, Status
from bench.spec.buildable import why_not
from bench.spec.measures import SAMPLED
from bench.statistics.sampling import Samples
from bench.training.device import Device
from bench.training.flops import forward_flops
from bench.training.loop import Diverged
from bench.training.precision import Precision
from bench.training.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from bench.spec.job import Job

# Tells the parent: the message's kind, and its values by name.
Tell = Callable[..., None]

TELL_EVERY_S = 0.25
# Parts of a span that are left out where there are none.
MAY_LACK = ("rank_s", "host")
# After these, everything can be set anew in place; after an error nobody knows what is left.
LEAVES_ORDER: tuple[Status, ...] = (*FINISHED, "diverged")

Split = Literal["train", "test"]


class Measure(ABC):
    """One run of `job`, told to the parent as it goes on: facts, phases, steps and the end.

    `metrics` grow as they become known, so that a run which ends early keeps what it has. `device`,
    `precision` and `placement` are there once `run` has begun, and `ranks`: of a run on several devices
    this is one of as many processes, which all do the same on their own part of each batch. `leaves_order` is whether
    it has ended so that another may go on in this process.
    """

    device: Device
    precision: Precision
    placement: Placement

    def __init__(self, job: Job, clock: Clock, tell: Tell) -> None:
        self.job, self.recipe, self.clock, self.tell = job, job.recipe, clock, tell
        self.metrics: dict[str, Any] = {}
        # What the records of one process all say of the machine and the libraries.
        self.identity: dict[str, Any] = {}
        self._resolved: dict[str, Any] = {}
        self.leaves_order = False
        self.ranks: Ranks = ALONE
        self.energy = EnergyMeter(None)
        self._next_step_told_s = 0.0
        self._spans_told = 0
        clock.entered = self._entered

    def run(self, open_loaders: ExitStack | None = None) -> None:
        """Measure and tell the end; raises whatever goes wrong on the way.

        With `open_loaders`, others go on with what this has loaded, and the caller closes it after the last of them.
        """
        with ExitStack() as own:
            self._start()
            self._finish(*self.measure(open_loaders or own))

    def run_after(self, before: Self) -> None:
        """The same with what `before`, a run of another seed that has ended, set up in this process.

        For the measures of SHARE_A_PROCESS.
        """
        self._take_over(before)
        self._finish(*self.measure_after(before))

    def _start(self) -> None:
        """Make ready what is measured on, and say what it is."""
        job, recipe = self.job, self.recipe
        if reason := why_not(recipe):
            raise ImpossibleModel(reason)
        torch.manual_seed(job.seed)
        with self.clock.span("device"):
            self.device = Device(job.device, self._threads(), job.rank)
            self.device.synchronize()
            if recipe.device_count > 1:
                from bench.training.distributed import Together

                self.ranks = Together(self.device)
        self.clock.timeline = self.device
        # From here on all ranks go through the phases together; those before are rank 0's own.
        self.ranks.gather([0.0])
        self.clock.agree = self.ranks.slowest
        self.energy = EnergyMeter(open_counter(self.device.is_cuda, recipe.device_count))
        self.precision = Precision(recipe.precision, self.device, half_norms=bool(recipe.half_norms))
        memory_format = assembly.MEMORY_FORMATS[recipe.memory_format]
        compiled = bool(recipe.compile) and self.device.is_cuda
        self.placement = Placement(self.device.torch, self.precision.inputs, memory_format, compiled)
        self.identity = {"machine": fingerprint.fingerprint(), "versions": provenance.versions()}
        self._tell_how()

    def _take_over(self, before: Self) -> None:
        """Measure on what `before` did, counting from here."""
        torch.manual_seed(self.job.seed)
        self.device, self.precision, self.placement = before.device, before.precision, before.placement
        self.identity = before.identity
        self.clock.timeline = self.device
        self.device.begin_peak_memory()
        self.precision.reset()
        self.energy = EnergyMeter(open_counter(self.device.is_cuda, self.recipe.device_count))
        self._tell_how()

    def _tell_how(self) -> None:
        job = self.job
        self.tell("facts", **self.identity)
        self.tell_resolved(
            precision=self.precision.name,
            threads=torch.get_num_threads(),
            keeps_freed_memory=self.device.keeps_freed_memory,
            neighbours=job.share.neighbours,
            openmp=openmp.in_force(),
            start=start_of_this_process(),
            sampling=asdict(job.sampling) if job.measure in SAMPLED else None,
            energy_counter=self.energy.source,
            **self._shares(),
            **({"shared_process": True} if job.shared_process else {}),
            **({"compiled_cache": "kept" if job.keep_compiled else "fresh"} if self.recipe.compile else {}),
        )

    def _finish(self, status: Status, reason: str | None) -> None:
        """Tell the end of what went well."""
        self.metrics |= self._largest_peaks()
        lacks = self._resolved.get("winograd_lacks")
        self.end(status, "; ".join(filter(None, (reason, lacks and f"without winograd: {lacks}"))) or None)
        self.ranks.leave()

    @abstractmethod
    def measure(self, open_loaders: ExitStack) -> tuple[Status, str | None]:
        """Do what is measured; the status, and the reason where there is more to say."""

    def measure_after(self, before: Self) -> tuple[Status, str | None]:
        """The same on what `before` has loaded and built, as if it had been loaded and built anew."""
        raise NotImplementedError(f"{type(self).__name__} sets everything up anew")

    def end(self, status: Status, reason: str | None) -> None:
        """Tell how it ended, with all that was measured until here."""
        if hasattr(self, "device"):  # an error may have come before it
            self.metrics = self.device.peak_memory() | self.metrics
        self.metrics |= self.energy.metrics(self.clock.total_s("train"))
        if self.clock.sampler is not None:
            self.metrics |= contention.metrics(self.clock.sampler.since_the_first(), self._spans())
        if (others := self._others_on_gpus()) is not None:
            self.metrics |= {"gpu_other_processes": others}
            self.metrics["contended"] = bool(self.metrics.get("contended") or others)
        self.metrics["total_s"] = self.clock.spans[-1].end_s
        self.leaves_order = status in LEAVES_ORDER
        # Only then is the parent to answer with another job.
        waits = {"waits": True} if self.job.shared_process and self.leaves_order else {}
        self.tell("facts", loaded=provenance.loaded_beside())
        self.tell("end", status=status, reason=reason, metrics=self.metrics, spans=self._spans(), **waits)

    def _others_on_gpus(self) -> int | None:
        if not hasattr(self, "device") or not self.device.is_cuda:
            return None
        try:
            boards = map(torch.cuda.get_device_properties, range(self.recipe.device_count))
            return gpus.other_processes([f"GPU-{board.uuid}" for board in boards])
        except Exception:  # nothing that is asked only to be told may end a run
            return None

    def load(self, open_loaders: ExitStack, *splits: Split) -> tuple[Dataset, list[Loader]]:
        """The data and a loader for each split, which `open_loaders` will close; a span."""
        with self.clock.span("data"):
            data = load_dataset(
                self.recipe.data.name,
                data_dir=self.job.data_dir,
                options=self.recipe.data.options,
                progress=self._download_progress(),
            )
            loaders = [open_loaders.enter_context(self._loader(data, split)) for split in splits]
        self.tell_data(data)
        self.device.reset_peak_memory()
        return data, loaders

    def tell_data(self, data: Dataset) -> None:
        """Say which data these are."""
        self.tell("facts", data=_describe(data))

    def build(self, data: Dataset) -> nn.Module:
        """The recipe's network, not yet on the device; a span."""
        with self.clock.span("build"):
            model = assembly.build_model(self.recipe, data)
            sped_up = assembly.speed_up(self.recipe, model, self.device.kind)
        self.tell_resolved(**sped_up)
        return model

    def prepare(self, model: nn.Module, data: Dataset) -> None:
        """Initialise the network from the data, and put it on the device in the recipe's precision."""
        assembly.init_from_data(model, data, self.device.torch)
        self.precision.prepare(model, self.placement.memory_format)
        if self.ranks.rank:
            # The networks are equal; what they draw from now on, as for dropout, should not be.
            torch.manual_seed(seeded_generator(self.job.seed, "rank", self.ranks.rank).initial_seed())

    def forward_flops(self, model: nn.Module, images: Tensor) -> int:
        """Of one image. To be counted last, because it is no part of what the user waits for."""
        with self.precision.autocast():
            return forward_flops(model, images[:1])

    def timed(self, work: Callable[[], object]) -> Span:
        """One sample: a span that is not recorded, with the device idle at both its ends."""
        stopwatch = Clock(timeline=self.device)
        stopwatch.agree = self.ranks.slowest
        with stopwatch.span("sample"):
            work()
        return stopwatch.spans[0]

    def now(self) -> float:
        """`time.monotonic`, on which all ranks agree, so that they decide alike by it."""
        return max(now_s for (now_s,) in self.ranks.gather([time.monotonic()]))

    def tell_resolved(self, **facts: Any) -> None:
        """Add to what the record says of how the recipe was carried out here."""
        self._resolved = self._resolved | facts
        self.tell("facts", resolved=self._resolved)

    def tell_step(self, step: int, examples: int) -> None:
        """Say how far the sampling is, a few times a second."""
        if time.monotonic() >= self._next_step_told_s:
            self._next_step_told_s = time.monotonic() + TELL_EVERY_S
            self.tell("step", epoch=0, step=step, total_steps=0, examples=examples, loss=None)

    def _loader(self, data: Dataset, split: Split) -> Loader:
        shard = Shard(self.ranks.rank, self.ranks.count)
        return assembly.build_loader(
            self.recipe, data, split, self.placement, self.job.seed, self._workers(), self.job.cache, shard
        )

    @property
    def batch_size(self) -> int:
        """Training examples of a step on this device."""
        return self.recipe.of_one_device(self.recipe.batch_size)

    def _threads(self) -> int | None:
        """The recipe's, else this rank's share of what torch would take; None is torch's own choice."""
        count = self.recipe.device_count
        if self.recipe.threads is None and count > 1:
            return max(1, torch.get_num_threads() // count)
        return self.recipe.threads

    def _workers(self) -> int | None:
        if self.recipe.workers is None and self.ranks.count > 1:
            return max(1, usable_cores() // self.ranks.count)
        return self.recipe.workers

    def _shares(self) -> dict[str, Any]:
        """What each of several devices gets, beside its `threads`."""
        if self.ranks.count == 1:
            return {}
        return {"batch_size_per_device": self.batch_size, "workers_per_device": self._workers()}

    def _largest_peaks(self) -> dict[str, int | None]:
        """Peak memory of the rank that took most, of each kind."""
        own = self.device.peak_memory()
        by_rank = self.ranks.gather([peak or 0 for peak in own.values()])
        return {name: int(max(peaks)) or None for name, peaks in zip(own, zip(*by_rank, strict=True), strict=True)}

    def _spans(self, first: int = 0) -> list[dict[str, Any]]:
        spans = [asdict(span) for span in self.clock.spans[first:]]
        return [{key: span[key] for key in span if key not in MAY_LACK or span[key] is not None} for span in spans]

    def _entered(self, phase: str) -> None:
        self.energy.enter(phase)
        self.tell("phase", name=phase, spans=self._spans(self._spans_told))
        self._spans_told = len(self.clock.spans)

    def _download_progress(self) -> Callable[[str, int, int | None], None]:
        next_s = 0.0

        def progress(what: str, done_bytes: int, total_bytes: int | None) -> None:
            nonlocal next_s
            if time.monotonic() >= next_s or done_bytes == total_bytes:
                next_s = time.monotonic() + TELL_EVERY_S
                self.tell("download", what=what, done_bytes=done_bytes, total_bytes=total_bytes)

        return progress


def verdict(accuracy: float, target: float | None) -> tuple[Status, str | None]:
    """Whether an accuracy is good enough: the status, and the reason where it is not."""
    if target is None or accuracy >= target:
        return "ok", None
    return "not_reached", f"accuracy {accuracy:.2%} is below the target of {target:.2%}"


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def made_up_batch(size: int, data: Dataset, placement: Placement) -> tuple[Tensor, Tensor]:
    """Noise and labels of a training batch's shapes."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size, *data.image_shape, generator=generator)
    # Of a text each token has one.
    labels = torch.randint(data.classes, (size, *data.train.labels.shape[1:]), generator=generator)
    placed = images.to(placement.device, placement.dtype, memory_format=placement.memory_format)
    return placed, labels.to(placement.device)


def seconds(span: Span) -> float:
    """By the device's own clock where it has one, which the host's delays do not reach."""
    return span.duration_s if span.device_s is None else span.device_s


def remarks(figures: dict[str, Samples]) -> str | None:
    """What is wrong with the samples of each figure, in one line; None where nothing is."""
    notes = [f"{name}: {note}" for name, samples in figures.items() for note in samples.notes()]
    return "; ".join(notes) or None


def _describe(data: Dataset) -> dict[str, Any]:
    return {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "official": data.official,
        "train_count": len(data.train),
        "test_count": len(data.test),
    }


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
