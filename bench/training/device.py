"""The differences between a GPU and a CPU: clock, memory and native precision."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path
from typing import Any

import torch

from bench.errors import MissingError
from bench.host import malloc
from bench.host.peak_memory import peak_host_bytes


class Device:
    """The CPU, or one CUDA device; also a `TimedDevice` of the clock."""

    def __init__(self, kind: str, threads: int | None = None, index: int = 0) -> None:
        """GPU number `index` becomes torch's current device."""
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
        self.keeps_freed_memory = not self.is_cuda and malloc.keep_freed_memory()

    @property
    def reads_are_free(self) -> bool:
        """Whether reading a tensor's value does not wait for queued work."""
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
        """Restart the counting of peaks, on the host only if the kernel allows it; torch's allocated memory is kept.

        For another run in this process, which reuses the memory of the first.
        """
        gc.collect()
        if self.is_cuda:
            torch.cuda.reset_peak_memory_stats()
        with contextlib.suppress(OSError):
            # 5 resets the peak of the resident set to its present size; see proc(5).
            Path("/proc/self/clear_refs").write_text("5")

    def peak_memory(self) -> dict[str, int | None]:
        """Peak bytes on the host (resident set of this process) and on the device."""
        return {
            "peak_host_bytes": peak_host_bytes(),
            "peak_device_bytes": torch.cuda.max_memory_allocated() if self.is_cuda else None,
        }
