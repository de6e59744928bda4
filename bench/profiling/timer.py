"""A timer for pytest-benchmark that reads the GPU's own clock.

For `@pytest.mark.benchmark(timer=device_seconds)`, or `--benchmark-timer=bench.profiling.timer.device_seconds`.
"""

from __future__ import annotations

import time
from typing import Any

import torch


class DeviceTimer:
    """Monotonic seconds by CUDA events; without a GPU, by the host's `perf_counter`.

    A call waits for all work queued before it, so that the difference of two calls is the time of all work between
    them, without the host's overhead of waiting. Each event is timed against the previous one, because CUDA's float32
    milliseconds would lose the microseconds over long times.
    """

    def __init__(self, is_cuda: bool | None = None) -> None:
        self._is_cuda = is_cuda
        self._last: Any = None
        self._total_s = 0.0

    def __call__(self) -> float:
        if self._is_cuda is None:
            self._is_cuda = torch.cuda.is_available()
        if not self._is_cuda:
            return time.perf_counter()
        torch.cuda.synchronize()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        event.synchronize()
        if self._last is not None:
            self._total_s += self._last.elapsed_time(event) / 1000
        self._last = event
        return self._total_s


device_seconds = DeviceTimer()
