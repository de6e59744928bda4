"""A timer for pytest-benchmark that reads the GPU's own clock.

For `@pytest.mark.benchmark(timer=device_seconds)`, or `--benchmark-timer=bench.profiling.timer.device_seconds`.
"""

from __future__ import annotations

import time
from typing import Any

import torch


class DeviceTimer:
    """Seconds that only grow, by CUDA events; without a GPU the host's `perf_counter`.

    A call waits for all work that was queued before it, so that what lies between two calls is all of the work
    between them, without the host's way to and from the wait. Each event is timed against the one before: from a
    distant one, the float32 milliseconds of CUDA would lose the microseconds.
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
