"""Inference: how long one image takes, how accurate the network is, and how many images pass in batches."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.host.clock import Clock
from bench.host.gc_pause import heap_frozen
from bench.ingredients.winograd_tiles import TiledConv
from bench.measures import assembly
from bench.measures.base import Measure, parameter_count, remarks, seconds, verdict
from bench.measures.frozen import compiled, constant_weights
from bench.measures.fusion import fold_batch_norms
from bench.measures.throttle import throttle_gauge
from bench.models import ImpossibleModel
from bench.pipelines.dataset import Dataset
from bench.pipelines.loader import Batch, Loader
from bench.runs import weights_file
from bench.runs.run import Status
from bench.statistics.sampling import Samples, sample
from bench.training.mirrored import Mirrored

if TYPE_CHECKING:
    from bench.measures.base import Tell
    from bench.spec.job import Job

LATENCY = "latency"
INT8 = "int8"
BATCH_SIZES = (1, 32, 256)
# The number of test images requested in turn if no accuracy is needed.
REQUEST_IMAGES = 1024
# The training images from which the ranges for int8 are taken.
CALIBRATION_IMAGES = 1000
# Enough requests for ten of them to lie beyond the 99th percentile.
LATENCY_LEAST_SAMPLES = 1000
LEAST_WARM_UP_STEPS = 3
# How many consecutive batches are timed together.
BLOCK_S = 0.1
UNASKED = -1


class Inference(Measure):
    """Forward passes of the recipe's network, in evaluation mode, on test images that are on the device.

    Each image has one view, or with `inference.mirror` two at once, independent of the recipe's test-time augmentation.
    A latency is the host's time from the call to the result for a batch of one, with an idle device at both ends. With
    trained weights, each test image is requested at least once, and the accuracy is computed from the answers to the
    timed requests. Without them, the weights are the initial ones, which take equally long, and there is no accuracy.
    """

    def __init__(self, job: Job, clock: Clock, tell: Tell) -> None:
        super().__init__(job, clock, tell)
        self.recipe = job.recipe.for_inference()

    def measure(self, open_loaders: ExitStack) -> tuple[Status, str | None]:
        clock, bounds, trained = self.clock, self.job.sampling, self.job.weights is not None
        data, (test,) = self.load(open_loaders, "test")
        model = self.build(data)
        self.metrics["parameters"] = parameter_count(model)
        with clock.span("init"):
            model = self._ready(model, data)
            self._forward: Callable[[Tensor], Tensor] = self._compiled(model) if self.recipe.compile else model
            constant = constant_weights(self.device.is_cuda) if self.recipe.compile else nullcontext()
            self._batches_done = self._images_done = 0
        # Entered once, as in an evaluation, so that autocast converts the weights only once.
        with torch.no_grad(), constant, self.precision.autocast():
            with clock.span("compile"):
                test.warm_up()
                images, labels = _requests(test, len(data.test) if trained else REQUEST_IMAGES)
                self._answers = torch.full_like(labels, UNASKED)
                self._singles = itertools.cycle(enumerate(torch.split(images, 1)))
                sizes = sorted({min(size, len(images)) for size in BATCH_SIZES})
                requests = {size: _in_batches(images[:REQUEST_IMAGES], size) for size in sizes}
                if self.recipe.compile:
                    for size in sizes:
                        self._block_s(requests[size], 1)
            with clock.span("warm_up"):
                passes = {size: self._passes_in_a_block(requests[size]) for size in sizes}
            throttled = throttle_gauge(self.device)
            with heap_frozen(), clock.span("measure"):
                least_samples = max(bounds.least_samples, LATENCY_LEAST_SAMPLES, len(images) if trained else 0)
                latency_bounds = replace(bounds, least_samples=least_samples)
                figures = sample({LATENCY: self._latency_s}, latency_bounds, throttled, keep=self._keep_latencies)
                for size in sizes:
                    block_s = partial(self._block_s, requests[size], passes[size])
                    keep = partial(self._keep_rate, size, passes[size])
                    figures |= sample({_batch(size): block_s}, bounds, throttled, keep=keep)
            status, reason = self._judge(images, labels) if trained else ("ok", None)
        self.metrics["forward_flops_per_example"] = self.forward_flops(model, images)
        return status, "; ".join(filter(None, (reason, remarks(figures)))) or None

    def _ready(self, model: nn.Module, data: Dataset) -> nn.Module:
        """The network with the requested weights, on the device, in the recipe's form for inference."""
        file, wanted = self.job.weights, self.job.recipe.inference
        if file is None:
            assembly.init_from_data(model, data, self.device.torch)
        else:
            weights = weights_file.load(file)
            weights_file.put_into(model, weights, file.path)
            run_id = weights.origin.get("run_id")
            self.tell_resolved(weights={"file": file.path.name, "sha256": file.sha256, "run_id": run_id})
        model.eval()
        if wanted and wanted.fuse:
            # Before the weights are rounded, on the CPU.
            try:
                fused = fold_batch_norms(model)
            except ValueError as error:
                raise ImpossibleModel(f"inference.fuse: {error}; leave it out for this network") from None
            self.tell_resolved(folded_norms=fused.folded, norms_left=fused.left)
            model = fused.model
        if wanted and wanted.mirror:
            model = Mirrored(model)
        if self.precision.name == INT8:
            self._quantize(model, data)
        self.precision.prepare(model, self.placement.memory_format)
        for module in model.modules():
            if isinstance(module, TiledConv):
                module.settle(self.precision.inputs)
        return model

    def _quantize(self, model: nn.Module, data: Dataset) -> None:
        from bench.measures.quantization import quantize_convs

        images = assembly.normalised(data, CALIBRATION_IMAGES, self.device.torch)
        try:
            quantized, left = quantize_convs(model, images)
        except ValueError as error:
            raise ImpossibleModel(f"inference.precision: int8: {error}; use pure_bf16 for it") from None
        self.tell_resolved(quantized_convs=quantized, convs_left=left)

    def _compiled(self, model: nn.Module) -> Callable[[Tensor], Tensor]:
        return compiled(model, self.device.is_cuda)

    def _judge(self, images: Tensor, labels: Tensor) -> tuple[Status, str | None]:
        """The accuracy over all test images, from the timed forward passes."""
        with self.clock.span("final_eval"):
            # None if time ran out before every image was requested.
            for index in (self._answers == UNASKED).nonzero().flatten().tolist():
                self._answers[index] = self._forward(images[index : index + 1]).argmax()
            accuracy = (self._answers == labels).sum().item() / len(labels)
        target = self.recipe.target_accuracy
        self.metrics |= {
            "accuracy": accuracy,
            "target_accuracy": target,
            "reached": None if target is None else accuracy >= target,
        }
        return verdict(accuracy, target)

    def _keep_latencies(self, figures: dict[str, Samples]) -> None:
        samples = figures[LATENCY]
        self.metrics |= {
            "latency_p50_ms": samples.median_s * 1000,
            "latency_p95_ms": samples.p95_s * 1000,
            "latency_p99_ms": samples.p99_s * 1000,
            "latency_mean_ms": samples.mean_s * 1000,
            "latency_min_ms": samples.min_s * 1000,
            "latency_images": int((self._answers != UNASKED).sum()),
            **samples.quality("latency_"),
        }

    def _keep_rate(self, size: int, passes: int, figures: dict[str, Samples]) -> None:
        samples = figures[_batch(size)]
        self.metrics[f"samples_per_s_at_{size}"] = passes * size / samples.mean_s
        self.metrics |= samples.quality(f"at_{size}_")

    def _latency_s(self) -> float:
        index, images = next(self._singles)
        # Not by `timed`, because recording its events takes microseconds, and a request takes few.
        self.device.synchronize()
        start_s = time.perf_counter()
        logits = self._forward(images)
        self.device.synchronize()
        latency_s = time.perf_counter() - start_s
        self._answers[index] = logits.argmax()
        self._count([images])
        return latency_s

    def _block_s(self, requests: Iterator[Tensor], count: int) -> float:
        """Seconds of `count` consecutive forward passes."""
        batches = list(itertools.islice(requests, count))

        def forward() -> None:
            for images in batches:
                self._forward(images)

        span = self.timed(forward)
        self._count(batches)
        return seconds(span)

    def _count(self, batches: Sequence[Tensor]) -> None:
        self._batches_done += len(batches)
        self._images_done += sum(map(len, batches))
        self.tell_step(self._batches_done, self._images_done)

    def _passes_in_a_block(self, requests: Iterator[Tensor]) -> int:
        warm_up_steps = max(self.recipe.warm_up_steps, LEAST_WARM_UP_STEPS)
        pass_s = min(self._block_s(requests, 1) for _ in range(warm_up_steps))
        return max(1, math.ceil(BLOCK_S / pass_s))


def _requests(test: Loader, most: int) -> Batch:
    """At most `most` test images [N, C, H, W] as the loader delivers them, and labels [N]."""
    batches = list(itertools.islice(test.epoch(0), math.ceil(most / test.batch_size)))
    images, labels = (torch.cat(parts)[:most] for parts in zip(*batches, strict=True))
    return images.contiguous(memory_format=test.placement.memory_format), labels


def _in_batches(images: Tensor, size: int) -> Iterator[Tensor]:
    """An endless sequence of batches of exactly this size."""
    return itertools.cycle(batch for batch in torch.split(images, size) if len(batch) == size)


def _batch(size: int) -> str:
    return f"batch size {size}"
