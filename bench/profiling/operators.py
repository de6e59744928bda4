"""The time of each torch operator in a training step, by torch's profiler, for comparing two versions."""

from __future__ import annotations

import itertools
from typing import Any

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
    return {row.key: _self_us(row, device.is_cuda) / 1e6 / STEPS for row in profiler.key_averages()}


def _self_us(row: Any, on_gpu: bool) -> float:
    return float(row.self_device_time_total if on_gpu else row.self_cpu_time_total)
