"""What the harness does differently on a GPU and on a CPU: the clock, memory, and which precision is native."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import sys
from pathlib import Path
from typing import Any

import torch

from bench.errors import MissingError


class Device:
    """The CPU, or one CUDA device; also a `TimedDevice` of the clock."""

    def __init__(self, kind: str, threads: int | None = None, index: int = 0) -> None:
        """Of several GPUs, `index` becomes the current one, which `torch` means."""
        if kind == "cuda" and not torch.cuda.is_available():
            built = torch.version.cuda
            why = (
                f"torch {torch.__version__} finds no usable GPU"
                if built
                else f"torch {torch.__version__} is a CPU build"
            )
            raise MissingError(
                f"--device cuda: {why}; use --device cpu, or install a CUDA build of torch and its driver"
            )
        self.kind = kind
        self.torch = torch.device(kind)
        self.is_cuda = kind == "cuda"
        if threads is not None:
            torch.set_num_threads(threads)
        if self.is_cuda:
            if index:
                torch.cuda.set_device(index)
            torch.backends.cudnn.benchmark = True
        self.keeps_freed_memory = not self.is_cuda and _keep_freed_memory()

    @property
    def reads_are_free(self) -> bool:
        """Whether looking at a tensor's value costs no wait for queued work."""
        return not self.is_cuda

    def synchronize(self) -> None:
        if self.is_cuda:
            torch.cuda.synchronize()

    def event(self) -> Any:
        if not self.is_cuda:
            return None
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def reset_peak_memory(self) -> None:
        gc.collect()
        if self.is_cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def begin_peak_memory(self) -> None:
        """Count peaks from here on, the host's too where the kernel lets us, and keep what torch has allocated.

        For another run in this process, which is to find its memory as warm as the first one left it.
        """
        gc.collect()
        if self.is_cuda:
            torch.cuda.reset_peak_memory_stats()
        with contextlib.suppress(OSError):
            # 5 sets the peak of the resident set back to what is resident now; see proc(5).
            Path("/proc/self/clear_refs").write_text("5")

    def peak_memory(self) -> dict[str, int | None]:
        """Peak bytes on the host (resident set of this process) and on the device."""
        unit = 1 if sys.platform == "darwin" else 1024
        return {
            "peak_host_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
            "peak_device_bytes": torch.cuda.max_memory_allocated() if self.is_cuda else None,
        }


def _keep_freed_memory() -> bool:
    """Let glibc keep what is freed, for the next step to use again.

    Otherwise it hands every large block back to the kernel, and each step faults its activations in
    anew, page by page. False where this is not glibc, or $BENCH_MALLOC is `default`.
    """
    if os.environ.get("BENCH_MALLOC") == "default":
        return False
    trim_threshold, mmap_max = -1, -4  # the numbers of M_TRIM_THRESHOLD and M_MMAP_MAX in glibc's malloc.h
    try:
        libc = ctypes.CDLL("libc.so.6")
        return bool(libc.mallopt(trim_threshold, -1) and libc.mallopt(mmap_max, 0))
    except (OSError, AttributeError):
        return False
