"""Which devices are free, and which of several concurrent runs uses which."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from bench.errors import UsageError
from bench.host.fingerprint import core_of
from bench.host.gpus import visible_gpus
from bench.host.share import Share


@dataclass(frozen=True)
class Gpus:
    """The visible GPUs by UUID: the free ones, and the busy ones with a description."""

    free: tuple[str, ...] = ()
    busy: tuple[tuple[str, str], ...] = ()

    @property
    def usable(self) -> tuple[str, ...]:
        """The free GPUs, or all if none is free: a desktop's only GPU is always a little busy."""
        return self.free or tuple(uuid for uuid, _ in self.busy)

    @property
    def note(self) -> str | None:
        """The note to print before anything is timed."""
        if not self.busy:
            return None
        said = "; ".join(what for _, what in self.busy)
        if self.free:
            return f"left alone, because others compute on them: {said}"
        return f"others compute on every GPU, and will disturb the clock: {said}"


class Allotment:
    """Gives each of at most `jobs` concurrent runs its share of the devices, and takes it back."""

    def __init__(self, jobs: int, gpus: Sequence[str] = (), cores: Sequence[int] = ()) -> None:
        """With GPUs, a run gets as many as it has devices; without, it gets its part of the cores.

        Raises `UsageError` for more jobs than devices.
        """
        self.jobs, self._running = jobs, 0
        self._free_gpus = list(gpus)
        self._on_gpus = bool(gpus)
        devices = len(gpus) if gpus else len(cores)
        if jobs > max(devices, 1):
            raise UsageError(
                f"--jobs {jobs}: there are {devices} {'free GPUs' if gpus else 'usable cores'}, and a job needs one"
            )
        # Neighbouring cores stay together, because they share a cache.
        part = len(cores) // jobs
        self._free_cores = [tuple(cores[i * part : (i + 1) * part]) for i in range(jobs)] if jobs > 1 else []

    @property
    def cores_of_a_run(self) -> int:
        return max(map(len, self._free_cores), default=0)

    def take(self, devices: int) -> Share | None:
        """The share for a run on so many devices now; None if it has to wait.

        Raises ValueError for more GPUs than exist.
        """
        if self._running == self.jobs:
            return None
        gpus = cores = None
        if self._on_gpus:
            if devices > len(self._free_gpus):
                if not self._running:
                    raise ValueError(f"{devices} GPUs were asked for, of {len(self._free_gpus)}")
                return None
            gpus = tuple(self._free_gpus[:devices])
            del self._free_gpus[:devices]
        elif self.jobs > 1:
            cores = self._free_cores.pop(0)
        self._running += 1
        return Share(gpus, cores, self.jobs - 1)

    def give_back(self, share: Share) -> None:
        self._running -= 1
        if share.gpus is not None:
            self._free_gpus = [*share.gpus, *self._free_gpus]
        if share.cores is not None:
            self._free_cores.insert(0, share.cores)


def find_gpus() -> Gpus:
    """The NVIDIA GPUs that this process may use, divided by whether another process computes on them; empty without
    NVML."""
    free, busy = [], []
    with visible_gpus() as found:
        for gpu in found.gpus:
            name = gpu.uuid or str(gpu.index)
            # A GPU that does not report its processes counts as free.
            pids = sorted(process.pid for process in gpu.ask("nvmlDeviceGetComputeRunningProcesses") or ())
            if pids:
                busy.append((name, f"GPU {gpu.index} (process {', '.join(map(str, pids))})"))
            else:
                free.append(name)
    return Gpus(tuple(free), tuple(busy))


def usable_cores() -> list[int]:
    """The numbers of the cores that this process may use; none where the system cannot bind to cores.

    The hardware threads of a core, which many machines number far apart, are adjacent in the list.
    """
    if not hasattr(os, "sched_setaffinity"):
        return []
    return sorted(os.sched_getaffinity(0), key=lambda cpu: (core_of(cpu) or (0, cpu), cpu))


def allot(jobs: int | None, device: str, gpus: Gpus) -> Allotment:
    """The allotment for so many jobs on `cpu` or `cuda`; None means one job for each free device.

    A CPU is one device. Raises `UsageError` for more jobs than this machine allows.
    """
    if device == "cuda":
        return Allotment(jobs or max(len(gpus.free), 1), gpus.usable)
    return Allotment(jobs or 1, cores=usable_cores())
