"""Whether a GPU's clock is throttled at the moment, according to NVML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bench.training.device import Device

THROTTLED_BELOW = 0.75  # of the default clock: nvbench's bound


def throttle_gauge(device: Device) -> Callable[[], bool]:
    """A function that returns whether the multiprocessors' clock is below three quarters of its default.

    Where no default is told, as of consumer GPUs and from CUDA 14 on, the highest clock stands for it. Few GPUs can
    keep that in heavy work; one that only keeps to its power limit is not throttled then.

    Always false if NVML does not know the clock: without a GPU, and on a MIG slice.
    """
    if not device.is_cuda:
        return lambda: False
    import pynvml

    try:
        handle = gpu_handle(device)
        default_mhz = _default_mhz(handle)
        least_mhz = THROTTLED_BELOW * (default_mhz or pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM))
    except pynvml.NVMLError:
        return lambda: False

    def throttled() -> bool:
        try:
            slow = pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM) < least_mhz
        except pynvml.NVMLError:
            return False
        return bool(slow) and (default_mhz is not None or not _only_at_power_limit(handle))

    return throttled


def gpu_handle(device: Device) -> Any:
    """NVML's handle of a GPU. Raises pynvml.NVMLError if NVML does not know it."""
    import pynvml

    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device.torch).uuid}")


def _default_mhz(handle: Any) -> int | None:
    """The default application clock; None where none is told."""
    import pynvml

    try:
        return int(pynvml.nvmlDeviceGetDefaultApplicationsClock(handle, pynvml.NVML_CLOCK_SM)) or None
    except (pynvml.NVMLError, AttributeError):
        return None


def _only_at_power_limit(handle: Any) -> bool:
    """Whether the power limit lowers the clock, and neither heat nor the power supply does."""
    import pynvml

    try:
        reasons = pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle)
    except (pynvml.NVMLError, AttributeError):
        return False
    disturbing = (
        pynvml.nvmlClocksEventReasonHwSlowdown
        | pynvml.nvmlClocksEventReasonSwThermalSlowdown
        | pynvml.nvmlClocksEventReasonHwThermalSlowdown
        | pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown
    )
    return bool(reasons & pynvml.nvmlClocksEventReasonSwPowerCap) and not reasons & disturbing
