"""Whether a GPU's clock is throttled at the moment, according to NVML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bench.training.device import Device

THROTTLED_BELOW = 0.75  # of the default clock: nvbench's bound


def throttle_gauge(device: Device) -> Callable[[], bool]:
    """A function that returns whether the multiprocessors' clock is below three quarters of its default.

    Always false if NVML does not know the clock: without a GPU, and on a MIG slice.
    """
    if not device.is_cuda:
        return lambda: False
    import pynvml

    try:
        handle = gpu_handle(device)
        least_mhz = THROTTLED_BELOW * _default_mhz(handle)
    except pynvml.NVMLError:
        return lambda: False

    def throttled() -> bool:
        try:
            return bool(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM) < least_mhz)
        except pynvml.NVMLError:
            return False

    return throttled


def gpu_handle(device: Device) -> Any:
    """NVML's handle of a GPU. Raises pynvml.NVMLError if NVML does not know it."""
    import pynvml

    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device.torch).uuid}")


def _default_mhz(handle: Any) -> int:
    """The default application clock; the highest where none is told, as of consumer GPUs and from CUDA 14 on."""
    import pynvml

    try:
        return int(pynvml.nvmlDeviceGetDefaultApplicationsClock(handle, pynvml.NVML_CLOCK_SM))
    except (pynvml.NVMLError, AttributeError):
        return int(pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM))
