"""The time of each torch operator in a training step, by torch's profiler, for comparing two versions."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from torch._C._autograd import DeviceType

from bench.measures.throughput import Steps
from bench.pipelines.loader import Loader
from bench.profiling.quiet_profiler import profiler_of
from bench.training.loop import endless
from bench.training.trainer import Trainer

STEPS = 5


def operator_seconds(trainer: Trainer, loader: Loader) -> dict[str, float]:
    """The own seconds of each operator in a step, by name; on the GPU if there is one.

    The profiler slows small operators down, so only differences between two profiles are meaningful.
    """
    device = trainer.train_step.precision.device
    steps, batches = Steps(trainer), endless(loader)
    steps.run([next(batches)])
    with profiler_of(device) as profiler:
        steps.run(itertools.islice(batches, STEPS))
        device.synchronize()
    return {name: seconds / STEPS for name, seconds in own_seconds(profiler.key_averages(), device.is_cuda).items()}


def own_seconds(rows: Iterable[Any], on_gpu: bool) -> dict[str, float]:
    """The seconds of each operator by itself, by name, of the rows of a profile.

    Of a GPU, a profile has rows for kernels too, whose seconds those of the operators contain.
    """
    found: dict[str, float] = defaultdict(float)
    for row in rows:
        if row.device_type == DeviceType.CPU:
            found[row.key] += (row.self_device_time_total if on_gpu else row.self_cpu_time_total) / 1e6
    return dict(found)
