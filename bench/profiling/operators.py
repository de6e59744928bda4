"""The time of each torch operator in a training step, by torch's profiler, for comparing two versions."""

from __future__ import annotations

import os
from typing import Any

from torch.profiler import ProfilerActivity, profile

from bench.measures.throughput import Steps
from bench.pipelines.loader import Loader
from bench.training.loop import Trainer

STEPS = 5


def operator_seconds(trainer: Trainer, loader: Loader) -> dict[str, float]:
    """The own seconds of each operator in a step, by name; on the GPU if there is one.

    The profiler slows small operators down, so only differences between two profiles are meaningful.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it would print its start and stop to stderr
    device = trainer.train_step.precision.device
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.is_cuda else [])
    steps, batches = Steps(trainer), loader.epoch(0)
    steps.run([next(batches)])
    with profile(activities=activities) as profiler:
        for number in range(STEPS):
            batch = next(batches, None) or next(batches := loader.epoch(number + 1))
            steps.run([batch])
        device.synchronize()
    return {row.key: _self_us(row, device.is_cuda) / 1e6 / STEPS for row in profiler.key_averages()}


def _self_us(row: Any, on_gpu: bool) -> float:
    return float(row.self_device_time_total if on_gpu else row.self_cpu_time_total)
