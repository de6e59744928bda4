"""Inference: how long one image takes, and how many images pass in batches."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from bench.measures.base import Measure, parameter_count, remarks, seconds
from bench.measures.throttle import throttle_gauge
from bench.run import Status
from bench.sampling import Samples, sample
from pipelines.loader import Loader

LATENCY = "latency"
BATCH_SIZES = (1, 32, 256)
# So many test images are asked for in turn.
REQUEST_IMAGES = 1024
# Ten requests lie beyond the 99th percentile, or it would be one request's bad luck.
LATENCY_LEAST_SAMPLES = 1000
LEAST_WARM_UP_STEPS = 3
# Of batches that follow one another without a wait, so many are timed together.
BLOCK_S = 0.1


class Inference(Measure):
    """Forward passes of the recipe's network, in evaluation mode, on test images that are on the device.

    One view an image, whatever test-time augmentation the recipe has. A latency is the host's time from the
    call to the result, for batches of one and each with an idle device at both ends. The weights are those
    of the beginning, which take as long as trained ones.
    """

    def measure(self, open_loaders: ExitStack) -> tuple[Status, str | None]:
        recipe, clock, bounds = self.recipe, self.clock, self.job.sampling
        data, (test,) = self.load(open_loaders, "test")
        model = self.build(data)
        with clock.span("init"):
            self.prepare(model, data)
            model.eval()
            # Not dynamic, because a network for any batch size is not the fastest for each.
            self._forward: Callable[[Tensor], Tensor] = torch.compile(model, dynamic=False) if recipe.compile else model
            self._batches_done = self._images_done = 0
        # Entered once, as in an evaluation: autocast then converts the weights once, and not for each batch.
        with torch.no_grad(), self.precision.autocast():
            with clock.span("compile"):
                test.warm_up()
                images = _requests(test)
                sizes = sorted({min(size, len(images)) for size in BATCH_SIZES})
                requests = {size: _in_batches(images, size) for size in sizes}
                if recipe.compile:
                    for size in sizes:
                        self._block_s(requests[size], 1)
            with clock.span("warm_up"):
                passes = {size: self._passes_in_a_block(requests[size]) for size in sizes}
            throttled = throttle_gauge(self.device)
            with clock.span("measure"):
                latency_bounds = replace(bounds, least_samples=max(bounds.least_samples, LATENCY_LEAST_SAMPLES))
                latency_s = partial(self._latency_s, requests[1])
                figures = sample({LATENCY: latency_s}, latency_bounds, throttled, keep=self._keep_latencies)
                for size in sizes:
                    block_s = partial(self._block_s, requests[size], passes[size])
                    keep = partial(self._keep_rate, size, passes[size])
                    figures |= sample({_batch(size): block_s}, bounds, throttled, keep=keep)
        self.metrics["parameters"] = parameter_count(model)
        self.metrics["forward_flops_per_example"] = self.forward_flops(model, images)
        return "ok", remarks(figures)

    def _keep_latencies(self, figures: dict[str, Samples]) -> None:
        samples = figures[LATENCY]
        self.metrics |= {
            "latency_p50_ms": samples.median_s * 1000,
            "latency_p95_ms": samples.p95_s * 1000,
            "latency_p99_ms": samples.p99_s * 1000,
            "latency_mean_ms": samples.mean_s * 1000,
            "latency_min_ms": samples.min_s * 1000,
            **samples.quality("latency_"),
        }

    def _keep_rate(self, size: int, passes: int, figures: dict[str, Samples]) -> None:
        samples = figures[_batch(size)]
        self.metrics[f"samples_per_s_at_{size}"] = passes * size / samples.mean_s
        self.metrics |= samples.quality(f"at_{size}_")

    def _latency_s(self, requests: Iterator[Tensor]) -> float:
        images = next(requests)
        # Not by `timed`: recording its events takes microseconds, of which a request has few.
        self.device.synchronize()
        start_s = time.perf_counter()
        self._forward(images)
        self.device.synchronize()
        latency_s = time.perf_counter() - start_s
        self._count([images])
        return latency_s

    def _block_s(self, requests: Iterator[Tensor], count: int) -> float:
        """Seconds of so many forward passes, one after the other."""
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


def _requests(test: Loader) -> Tensor:
    """Test images [N, C, H, W] as the loader delivers them: the first ones, or all where there are fewer."""
    batches = itertools.islice(test.epoch(0), math.ceil(REQUEST_IMAGES / test.batch_size))
    images = torch.cat([images for images, _ in batches])[:REQUEST_IMAGES]
    return images.contiguous(memory_format=test.placement.memory_format)


def _in_batches(images: Tensor, size: int) -> Iterator[Tensor]:
    """Batches of exactly this size, for ever."""
    return itertools.cycle(batch for batch in torch.split(images, size) if len(batch) == size)


def _batch(size: int) -> str:
    return f"batch size {size}"
