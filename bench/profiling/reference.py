"""Reference kernels of the machine: a large matrix product and a memory copy.

The product is the upper limit of the FLOP/s of a network in the same number format. Both together distinguish a machine
that has become slower from code that has.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.measures.throttle import gpu_handle
from bench.statistics.sampling import Bounds, Samples, sample
from bench.training.device import Device

# Large enough for nearly the highest rate, small enough to take milliseconds.
MATRIX_SIDE = {"cpu": 1024, "cuda": 8192}
# Far larger than any cache.
COPY_BYTES = {"cpu": 2**28, "cuda": 2**30}
CPUS = Path("/sys/devices/system/cpu")
BOUNDS = Bounds(relative_error=0.01, least_samples=10, least_s=0.25, timeout_s=5.0)


@dataclass(frozen=True)
class Rate:
    """Work done per second: `work` FLOP or bytes in each of `samples`."""

    work: float
    samples: Samples

    @property
    def n(self) -> int:
        return self.samples.n

    @property
    def per_s(self) -> float:
        """The rate at the median time of the samples."""
        return self.work / self.samples.median_s

    @property
    def interval_per_s(self) -> tuple[float, float] | None:
        """95 % interval of the rate at the median time, by order statistics; None for fewer than six samples.

        It assumes no distribution, only that each sample is equally likely to lie above or below the true median.
        """
        from scipy import stats

        rank = int(stats.binom.ppf(0.025, self.n, 0.5))
        times = sorted(self.samples.seconds)
        return (self.work / times[-rank], self.work / times[rank - 1]) if rank else None


@dataclass(frozen=True)
class Kernel:
    """A fixed piece of work: `work` FLOP or bytes for each call of `run`."""

    device: Device
    work: float
    run: Callable[[], object]

    def rate(self, samples: Samples) -> Rate:
        """The rate from samples taken elsewhere."""
        return Rate(self.work, samples)

    def measure(self, bounds: Bounds = BOUNDS) -> Rate:
        """Time it, after a first run that pays for memory pages, threads and the choice of an algorithm."""
        self.run()
        return self.rate(sample({"kernel": lambda: seconds_of(self.device, self.run)}, bounds)["kernel"])


def matrix_product(device: Device, dtype: torch.dtype = torch.float32) -> Kernel:
    """A square matrix product in `dtype`, in FLOP: a multiply-add counts as two. TF32 is used if it is switched on."""
    side = MATRIX_SIDE[device.kind]
    left, right = normal_factors(device, dtype, (side, side), (side, side))
    out = torch.empty_like(left)
    return Kernel(device, 2.0 * side**3, lambda: torch.mm(left, right, out=out))


def normal_factors(device: Device, dtype: torch.dtype, *shapes: Sequence[int]) -> list[Tensor]:
    """Normal numbers of these shapes, equal in each call. Drawn on the device, because a host needs seconds to draw
    and to send what a GPU multiplies in milliseconds."""
    generator = torch.Generator(device.torch).manual_seed(0)
    return [torch.randn(*shape, generator=generator, device=device.torch).to(dtype) for shape in shapes]


def memory_copy(device: Device) -> Kernel:
    """A copy within the device's memory, in bytes: each byte is read and written and counts twice."""
    source = torch.ones(COPY_BYTES[device.kind], dtype=torch.uint8, device=device.torch)
    target = torch.zeros_like(source)
    return Kernel(device, 2.0 * source.numel(), lambda: target.copy_(source))


def clock_hz(device: Device) -> float | None:
    """The present clock of a GPU's multiprocessors, or of the fastest core that this process may use, in Hz.

    None if the system hides it, as virtual machines and GPU slices do.
    """
    if device.is_cuda:
        import pynvml

        try:
            return 1e6 * float(pynvml.nvmlDeviceGetClockInfo(gpu_handle(device), pynvml.NVML_CLOCK_SM))
        except pynvml.NVMLError:
            return None
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    khz = []
    for core in cores:
        # Not /proc/cpuinfo, where a virtual machine always reports the clock at its start.
        with suppress(OSError, ValueError):
            khz.append(int((CPUS / f"cpu{core}" / "cpufreq" / "scaling_cur_freq").read_text()))
    return 1e3 * max(khz) if khz else None


def seconds_of(device: Device, work: Callable[[], object]) -> float:
    """The seconds of `work` with the device idle at both ends, by the device's own clock if it has one."""
    device.synchronize()
    start_s, start = time.perf_counter(), device.event()
    work()
    end = device.event()
    device.synchronize()
    return start.elapsed_time(end) / 1000 if start is not None else time.perf_counter() - start_s
