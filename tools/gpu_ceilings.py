"""What a device can do at most, and what each part around the network costs: a line each, failures said.

    python tools/gpu_ceilings.py [--device cuda|cpu] [--recipe speedrun94_hiverge]

On a CPU all sizes are tiny: that shows only that it runs. Times are medians, of device events on a GPU.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.host.clock import Clock
from bench.measures import assembly
from bench.measures.base import made_up_batch
from bench.pipelines.datasets import load_dataset
from bench.pipelines.loader import Placement
from bench.spec import recipes
from bench.training.device import Device
from bench.training.examples import Examples
from bench.training.orthogonalization import orthogonalize_all
from bench.training.precision import Precision

WARM, REPEATS = 3, 20
# In, out, pixels, kernel, padding: the convs of the speedrun network.
CONVS = (
    (3, 24, 32, 2, 0),
    (24, 64, 31, 3, 1),
    (64, 64, 15, 3, 1),
    (64, 256, 15, 3, 1),
    (256, 256, 7, 3, 1),
    (256, 256, 7, 3, 1),
    (256, 256, 3, 3, 1),
)
TINY = ("model.widths=[8, 8]", "batch_size=8", "evaluation.batch_size=8", "model.whiten_images=16")


@dataclass(frozen=True)
class Bench:
    """The device, and the sizes that suit it."""

    device: Device
    recipe: str

    @property
    def large(self) -> bool:
        return self.device.is_cuda

    @property
    def half(self) -> torch.dtype:
        return torch.float16 if self.large else torch.float32

    def median_ms(self, work: Callable[[], object]) -> float:
        """Of one call, when it has been called before."""
        for _ in range(WARM):
            work()
        times_ms = []
        for _ in range(REPEATS):
            clock = Clock(timeline=self.device)
            with clock.span("work"):
                work()
            (span,) = clock.spans
            times_ms.append(1000 * (span.duration_s if span.device_s is None else span.device_s))
        return median(times_ms)

    def once_ms(self, work: Callable[[], object]) -> float:
        """Of one call, by the host's clock around an idle device."""
        self.device.synchronize()
        began_s = time.perf_counter()
        work()
        self.device.synchronize()
        return 1000 * (time.perf_counter() - began_s)


def ceilings(bench: Bench) -> None:
    """Memory, matrix units, and what a launch costs the host."""
    at = bench.device.torch
    size = 2**30 if bench.large else 2**20
    source = torch.ones(size, dtype=torch.uint8, device=at)
    target = torch.empty_like(source)
    print(f"copy: {2 * size / bench.median_ms(lambda: target.copy_(source)) / 1e6:.0f} GB/s")
    side = 8192 if bench.large else 128
    for dtype in dict.fromkeys((bench.half, torch.bfloat16, torch.float32)):
        left, right = (torch.randn(side, side, device=at, dtype=dtype) for _ in range(2))
        rate = 2 * side**3 / bench.median_ms(lambda left=left, right=right: left @ right) / 1e9
        print(f"matmul of {side}: {rate:.1f} TFLOP/s in {str(dtype).removeprefix('torch.')}")
    few, launches = torch.zeros(8, device=at), 1000
    began_s = time.perf_counter()
    for _ in range(launches):
        few.add_(1)
    print(f"launch of add_: {1e6 * (time.perf_counter() - began_s) / launches:.2f} us of the host")
    bench.device.synchronize()


def convs(bench: Bench) -> None:
    """Each conv of the network by itself, forward and both ways back: their sum is a floor for a step."""
    batch = 2000 if bench.large else 2
    total_ms = dict.fromkeys(("forward", "of images", "of filters"), 0.0)
    for channels_in, channels_out, pixels, kernel, pad in CONVS:

        def randn(*shape: int) -> Tensor:
            made = torch.randn(*shape, device=bench.device.torch, dtype=bench.half)
            return made.to(memory_format=torch.channels_last)

        images, filters = randn(batch, channels_in, pixels, pixels), randn(channels_out, channels_in, kernel, kernel)
        outputs = F.conv2d(images, filters, padding=pad)
        gradient = torch.randn_like(outputs)

        def back(
            *wanted: bool,
            images: Tensor = images,
            filters: Tensor = filters,
            gradient: Tensor = gradient,
            pad: int = pad,
        ) -> object:
            ones, none = [1, 1], [0, 0]
            mask = [*wanted, False]
            return torch.ops.aten.convolution_backward(
                gradient, images, filters, None, ones, [pad, pad], ones, False, none, 1, mask
            )

        spent_ms = {
            "forward": bench.median_ms(lambda i=images, f=filters, p=pad: F.conv2d(i, f, padding=p)),
            "of images": bench.median_ms(lambda back=back: back(True, False)),
            "of filters": bench.median_ms(lambda back=back: back(False, True)),
        }
        flops = 2 * batch * channels_in * kernel**2 * channels_out * outputs.shape[-1] ** 2
        told = ", ".join(f"{name} {ms:.3f} ms, {flops / ms / 1e9:.0f} TFLOP/s" for name, ms in spent_ms.items())
        print(f"conv {channels_in} to {channels_out} at {pixels} pixels: {told}")
        total_ms = {name: total_ms[name] + ms for name, ms in spent_ms.items()}
    told = ", ".join(f"{name} {ms:.3f} ms" for name, ms in total_ms.items())
    print(f"convs in all at batch {batch}: {told}; {sum(total_ms.values()):.3f} ms together")


def around_the_network(bench: Bench) -> None:
    """Initialisation, batches, optimisers and loss of the recipe, and its whole step, not compiled."""
    recipe = recipes.load(bench.recipe, bench.device.kind, () if bench.large else TINY)
    recipe = recipe.model_copy(update={"compile": False, "cuda_graph": None})
    sizes = {"train_count": 50_000, "test_count": 2000} if bench.large else {"train_count": 64, "test_count": 8}
    data = load_dataset("random", options={"shape": [3, 32, 32], "classes": 10, **sizes})
    precision = Precision(recipe.precision, bench.device, half_norms=bool(recipe.half_norms))
    memory_format = assembly.MEMORY_FORMATS[recipe.memory_format]
    place = Placement(bench.device.torch, precision.inputs, memory_format)
    for turn in ("first", "second", "third"):
        model = assembly.build_model(recipe, data)
        looked_ms = bench.once_ms(lambda model=model: assembly.init_from_data(model, data, bench.device.torch))
        prepared_ms = bench.once_ms(lambda model=model: precision.prepare(model, memory_format))
        print(f"init, {turn} time: from the data {looked_ms:.1f} ms, on the device {prepared_ms:.1f} ms")
    with assembly.build_loader(recipe, data, "train", place, 0, None, None) as loader:
        first_ms = [bench.once_ms(lambda epoch=epoch: next(iter(loader.epoch(epoch)))) for epoch in range(5)]
        print(f"first batch of an epoch: {median(first_ms):.2f} ms")
        batches, drawn = min(loader.steps_per_epoch - 1, 20), loader.epoch(6)
        next(drawn)  # with the draws of the epoch, which the line above has
        some_ms = bench.once_ms(lambda: list(itertools.islice(drawn, batches)))
        print(f"a batch, rendered: {some_ms / batches:.3f} ms, of {batches}")
        trainer = assembly.build_trainer(
            recipe, model, precision, loader, loader, Clock(timeline=bench.device), print, fused=bench.large
        )
        images, labels = made_up_batch(recipe.batch_size, data, place)
        step = trainer.train_step
        optimizers = step.make_optimizers()
        step(Examples(images, labels), optimizers, 0)
        with precision.autocast():
            logits = step.forward(images)
        step.precision.backward(step.loss(logits, labels))
        for optimizer in optimizers.all:
            print(f"{type(optimizer).__name__}, a step: {bench.median_ms(optimizer.step):.3f} ms")
        filters = [p.grad.flatten(1).clone() for p in model.parameters() if p.ndim == 4 and p.grad is not None]
        together_ms = bench.median_ms(lambda: orthogonalize_all(filters, 3, True))
        print(f"orthogonalisation of all {len(filters)} filter banks: {together_ms:.3f} ms")
        answers = logits.detach().requires_grad_()
        print(f"loss, both ways: {bench.median_ms(lambda: step.loss(answers, labels).backward()):.3f} ms")
        step_ms = bench.median_ms(lambda: step(Examples(images, labels), optimizers, 0))
        print(f"a whole step, not compiled: {step_ms:.3f} ms at batch {recipe.batch_size}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--recipe", default="speedrun94_hiverge", help="of the speedrun network")
    arguments = parser.parse_args()
    bench, failed = Bench(Device(arguments.device), arguments.recipe), 0
    for part in (ceilings, convs, around_the_network):
        try:
            part(bench)
        except Exception as error:
            failed += 1
            print(f"{part.__name__} failed: {type(error).__name__}: {str(error).splitlines()[0][:200]}")
            traceback.print_exc(limit=4)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
