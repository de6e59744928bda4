"""What all measures share: the device, data, loaders and network of a recipe, and the messages to the parent.

Importing it imports torch and everything that measuring needs, so that the worker can time this.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
import torch._dynamo  # the first optimiser would import it, which takes a second in the middle of the run
from torch import Tensor, nn

from bench.errors import BenchError, MissingError, UsageError
from bench.host import contention, fingerprint, gpus, malloc, openmp, provenance
from bench.host.clock import Clock, Span
from bench.host.energy import EnergyMeter, open_counter
from bench.host.start import start_of_this_process
from bench.measures import assembly, earlier_part, trained_nets
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
from bench.training.trainer import Trainer

if TYPE_CHECKING:
    from bench.spec.job import Job
    from bench.spec.recipe import Recipe

# Sends a message to the parent: its kind, and its values by name.
Tell = Callable[..., None]

TELL_EVERY_S = 0.25
# Fields of a span that are left out if they are None.
MAY_LACK = ("rank_s", "host")
# After these ends, everything can be reset in place; after an error the state is unknown.
LEAVES_ORDER: tuple[Status, ...] = (*FINISHED, "diverged")
# What other errors than torch's own say: a CPU's, CUDA's outside of torch's allocator, and those of cuBLAS and cuDNN.
OUT_OF_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED")

Split = Literal["train", "test"]


class Measure(ABC):
    """One run of `job`, which sends facts, phases, steps and the end to the parent.

    `metrics` are added as they become known, so that a run that ends early keeps them. `device`, `precision`,
    `placement` and `ranks` are set when `run` begins. In a run on several devices this is one of as many processes,
    each of which works on its own part of every batch. `leaves_order` says whether it has ended so that another run may
    follow in this process.
    """

    device: Device
    precision: Precision
    placement: Placement

    def __init__(self, job: Job, clock: Clock, tell: Tell) -> None:
        self.job, self.recipe, self.clock, self.tell = job, job.recipe, clock, tell
        self.metrics: dict[str, Any] = {}
        self._process_facts: dict[str, Any] = {}
        # Facts about the machine and the libraries that are the same in all records of a process.
        self.identity: dict[str, Any] = {}
        self._resolved: dict[str, Any] = {}
        self.data_facts: dict[str, Any] = {}
        self.leaves_order = False
        self.ranks: Ranks = ALONE
        self.energy = EnergyMeter(None)
        self._next_step_told_s = 0.0
        self._spans_told = 0
        clock.entered = self._entered

    def run(self, open_loaders: ExitStack | None = None) -> None:
        """Measure and report the end. Raises any error on the way.

        With `open_loaders`, later runs reuse the loaders, and the caller closes them after the last run.
        """
        with ExitStack() as own:
            self._start()
            self._finish(*self.measure(open_loaders or own))

    def run_after(self, before: Self) -> None:
        """Like `run`, but reusing what `before`, an earlier run of another seed, has set up in this process.

        For the measures of SHARE_A_PROCESS.
        """
        self._take_over(before)
        self._finish(*self.measure_after(before))

    def _start(self) -> None:
        """Prepare the device and report what it is."""
        job, recipe = self.job, self.recipe
        if reason := why_not(recipe):
            raise ImpossibleModel(reason)
        torch.manual_seed(job.seed)
        with self.clock.span("device"):
            self.device = Device(job.device, self._threads(), job.rank % recipe.devices_of_a_node)
            self.device.synchronize()
            self._process_facts = assembly.prepare_process(recipe, self.device.kind)
            if recipe.device_count > 1:
                from bench.training.distributed import Together

                self.ranks = Together(self.device, recipe.node_count)
        self.clock.timeline = self.device
        # From here on all ranks go through the phases together; earlier phases are rank 0's own.
        self.ranks.gather([0.0])
        if recipe.node_count > 1:
            # Each host began its clock when it was ready; from now on they all show what rank 0's shows.
            own_s = self.clock.elapsed_s()
            self.clock.origin_s += own_s - self.ranks.gather([own_s])[0][0]
        self.clock.agree = self.ranks.slowest
        self.energy = self._energy_meter()
        if job.resume is not None:
            self.energy.carry(job.resume.values.energy_j)
        self.precision = Precision(recipe.precision, self.device, half_norms=bool(recipe.half_norms))
        memory_format = assembly.MEMORY_FORMATS[recipe.memory_format]
        compiled = bool(recipe.compile) and self.device.is_cuda
        self.placement = Placement(self.device.torch, self.precision.inputs, memory_format, compiled)
        self.identity = {"machine": fingerprint.fingerprint(), "versions": provenance.versions()}
        self._tell_how()

    def _take_over(self, before: Self) -> None:
        """Reuse the state of `before`; times count from here."""
        torch.manual_seed(self.job.seed)
        self.device, self.precision, self.placement = before.device, before.precision, before.placement
        self.identity, self._process_facts = before.identity, before._process_facts
        self.clock.timeline = self.device
        self.device.begin_peak_memory()
        self.precision.reset()
        self.energy = self._energy_meter()
        self._tell_how()

    def _energy_meter(self) -> EnergyMeter:
        """One of the devices on this host, which cannot see the energy of another's."""
        return EnergyMeter(open_counter(self.device.is_cuda, self.recipe.devices_of_a_node))

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
            **self._process_facts,
            **self._shares(),
            **({"shared_process": True} if job.shared_process else {}),
            **({"resumed": list(job.parts)} if job.parts else {}),
            **({"compiled_cache": "kept" if job.keep_compiled else "fresh"} if self.recipe.compile else {}),
        )

    def _finish(self, status: Status, reason: str | None) -> None:
        """Report the end of a run without error."""
        self.metrics |= self._largest_peaks()
        lacks = {key: self._resolved.get(f"{key}_lacks") for key in self.recipe.ingredients}
        without = [f"without {key}: {why}" for key, why in lacks.items() if why]
        self.end(status, "; ".join(filter(None, (reason, *without))) or None)
        self.ranks.leave()

    @abstractmethod
    def measure(self, open_loaders: ExitStack) -> tuple[Status, str | None]:
        """Do the measured work; returns the status, and a reason if there is more to say."""

    def measure_after(self, before: Self) -> tuple[Status, str | None]:
        """Like `measure`, reusing what `before` has loaded and built, reset as if it were new."""
        raise NotImplementedError(f"{type(self).__name__} sets everything up anew")

    def end(self, status: Status, reason: str | None) -> None:
        """Report how the run ended, with all metrics so far."""
        if hasattr(self, "device"):  # an error may have occurred before it
            self.metrics = self.device.peak_memory() | {"huge_page_bytes": malloc.huge_page_bytes()} | self.metrics
        self.metrics |= self.energy.metrics(self.clock.total_s("train"))
        if (usage := self.usage()) is not None:
            self.metrics |= contention.metrics(usage, self.spans())
        if (others := self._others_on_gpus()) is not None:
            self.metrics |= {"gpu_other_processes": others}
            self.metrics["contended"] = bool(self.metrics.get("contended") or others)
        self.metrics |= earlier_part.metrics(self.metrics, self.job.resume)
        self.metrics["total_s"] = self.clock.spans[-1].end_s
        self.leaves_order = status in LEAVES_ORDER
        # Only then may the parent answer with another job.
        waits = {"waits": True} if self.job.shared_process and self.leaves_order else {}
        self.tell("facts", loaded=provenance.loaded_beside())
        self.tell("end", status=status, reason=reason, metrics=self.metrics, spans=self.spans(), **waits)

    def usage(self) -> contention.Usage | None:
        """Who used the cores, in the earlier part of a resumed run too; None if nobody watches."""
        sampler = self.clock.sampler
        return None if sampler is None else earlier_part.usage(sampler.since_the_first(), self.job.resume)

    def peaks(self) -> dict[str, int | None]:
        """The peak memory of this process, or of the earlier part of a resumed run if that is larger."""
        return earlier_part.peaks(self.device.peak_memory(), self.job.resume)

    def _others_on_gpus(self) -> int | None:
        if not hasattr(self, "device") or not self.device.is_cuda:
            return None
        try:
            boards = map(torch.cuda.get_device_properties, range(self.recipe.devices_of_a_node))
            return gpus.other_processes([f"GPU-{board.uuid}" for board in boards])
        except Exception:  # a fact that is only recorded must not end a run
            return None

    def load(self, open_loaders: ExitStack, *splits: Split) -> tuple[Dataset, list[Loader]]:
        """Load the data and make a loader for each split, which `open_loaders` will close; recorded as a span."""
        with self.clock.span("data"):
            data = self.load_data()
            loaders = [open_loaders.enter_context(self._loader(data, split)) for split in splits]
        self.tell_data(data)
        self.device.reset_peak_memory()
        return data, loaders

    def load_data(self) -> Dataset:
        """Load the recipe's data, whose download is reported."""
        data, progress = self.recipe.data, self._download_progress()
        return load_dataset(data.name, data_dir=self.job.data_dir, options=data.options, progress=progress)

    def tell_data(self, data: Dataset) -> None:
        """Report which data is used. Raises MissingError if it is not the data that the job is to be measured on."""
        self.data_facts = _describe(data)
        self.tell("facts", data=self.data_facts)
        wanted = self.job.data_fingerprint
        if wanted is not None and wanted != data.fingerprint:
            raise MissingError(
                f"this host has other data: {data.name} has the fingerprint {data.fingerprint[:12]} here, and "
                f"{wanted[:12]} where the sweep was started; copy the files from there, or let all "
                "hosts read one shared folder by --data"
            )

    def build(self, data: Dataset) -> nn.Module:
        """Build the recipe's network, not yet on the device; recorded as a span."""
        with self.clock.span("build"):
            model = assembly.build_model(self.recipe, data)
            sped_up = assembly.speed_up(self.recipe, model, self.device.kind)
        self.tell_resolved(**sped_up)
        return model

    def prepare(self, model: nn.Module, data: Dataset) -> None:
        """Initialise the network from the data, and move it to the device in the recipe's precision."""
        assembly.init_from_data(model, data, self.device.torch)
        self.precision.prepare(model, self.placement.memory_format)
        if self.ranks.rank:
            # The ranks' networks are equal, but later random draws, for instance of dropout, should differ.
            torch.manual_seed(seeded_generator(self.job.seed, "rank", self.ranks.rank).initial_seed())

    def trainer(self, model: nn.Module, data: Dataset, train: Loader, recipe: Recipe | None = None) -> Trainer:
        """Prepare the network, and make a trainer of it that evaluates nothing: by the job's recipe or a variant."""
        self.prepare(model, data)
        nets = trained_nets.load(self.job.nets, self.recipe, data, self.precision)
        # Without a test loader there is none of its memory.
        return assembly.build_trainer(
            recipe or self.recipe,
            model,
            self.precision,
            train,
            train,
            self.clock,
            lambda _: None,
            self.ranks,
            data=data,
            nets=nets,
        )

    def forward_flops(self, model: nn.Module, images: Tensor) -> int:
        """The forward FLOPs of one image. Count them last, because the user does not wait for them."""
        with self.precision.autocast():
            return forward_flops(model, images[:1])

    def timed(self, work: Callable[[], object]) -> Span:
        """One sample: an unrecorded span with the device idle at both ends."""
        stopwatch = Clock(timeline=self.device)
        stopwatch.agree = self.ranks.slowest
        with stopwatch.span("sample"):
            work()
        return stopwatch.spans[0]

    def now(self) -> float:
        """`time.monotonic`, agreed between all ranks, so that they make the same decisions."""
        return max(now_s for (now_s,) in self.ranks.gather([time.monotonic()]))

    def tell_resolved(self, **facts: Any) -> None:
        """Add facts to the record about how the recipe was carried out."""
        self._resolved = self._resolved | facts
        self.tell("facts", resolved=self._resolved)

    def tell_step(self, step: int, examples: int) -> None:
        """Report the progress of the sampling, a few times a second."""
        if time.monotonic() >= self._next_step_told_s:
            self._next_step_told_s = time.monotonic() + TELL_EVERY_S
            self.energy.look()
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
        """The recipe's threads, else this rank's share of torch's default; None leaves the choice to torch."""
        count = self.recipe.devices_of_a_node
        if self.recipe.threads is None and count > 1:
            return max(1, torch.get_num_threads() // count)
        return self.recipe.threads

    def _workers(self) -> int | None:
        if self.recipe.workers is None and self.ranks.count > 1:
            return max(1, usable_cores() // self.recipe.devices_of_a_node)
        return self.recipe.workers

    def _shares(self) -> dict[str, Any]:
        """Facts about each of several devices, besides its `threads`."""
        if self.ranks.count == 1:
            return {}
        return {"batch_size_per_device": self.batch_size, "workers_per_device": self._workers()}

    def _largest_peaks(self) -> dict[str, int | None]:
        """The largest peak memory of any rank, by kind."""
        own = self.device.peak_memory()
        by_rank = self.ranks.gather([peak or 0 for peak in own.values()])
        return {name: int(max(peaks)) or None for name, peaks in zip(own, zip(*by_rank, strict=True), strict=True)}

    def spans(self, first: int = 0) -> list[dict[str, Any]]:
        """The spans as a record has them, from number `first` on."""
        spans = [asdict(span) for span in self.clock.spans[first:]]
        return [{key: span[key] for key in span if key not in MAY_LACK or span[key] is not None} for span in spans]

    def _entered(self, phase: str) -> None:
        self.energy.enter(phase)
        self.tell("phase", name=phase, spans=self.spans(self._spans_told))
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
    """The status for an accuracy, and the reason if it is below the target."""
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
    """Seconds by the device's own clock if it has one, which is free of the host's delays."""
    return span.duration_s if span.device_s is None else span.device_s


def remarks(figures: dict[str, Samples]) -> str | None:
    """Remarks on the samples of each figure, in one line; None if there are none."""
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
    """The user's mistake behind an error; None if the run itself failed."""
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
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(text in str(error) for text in OUT_OF_MEMORY):
        return "oom", first_line or "out of memory"
    return "failed", f"{type(error).__name__}: {first_line}"
