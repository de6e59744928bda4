"""torch's profiler of the host and, if the steps run there, of the GPU, without its messages."""

from __future__ import annotations

import os

from torch.profiler import ProfilerActivity, profile

from bench.training.device import Device


def profiler_of(device: Device) -> profile:
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it would print its start and stop to stderr
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.is_cuda else [])
    # A single cycle; without this, some versions of torch warn that they would not keep what came before it.
    return profile(activities=activities, acc_events=True)
