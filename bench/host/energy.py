"""Energy in joules, from the hardware's own counters.

On a GPU, NVML's total energy counter of each used board (since Volta); on a CPU, RAPL's counter of each package, if the
kernel allows reading it. Both count everything that runs there, not only this run. NVML updates its counter a few dozen
times a second at best, so the energy of less than a second is mostly noise.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bench.host.gpus import visible_gpus

# The smallest range of RAPL, 65 kJ, lasts for a minute at a kilowatt.
LOOK_EVERY_S = 30.0
POWERCAP = Path("/sys/class/powercap")


class Counter(Protocol):
    """A counter of joules since some moment; `name` says which. It is too slow for phases below `coarse_below_s`."""

    name: str
    coarse_below_s: float

    def joules(self) -> float: ...


class NvmlCounter:
    """The sum over the boards of `handles`. Raises NVMLError if one of them has no counter."""

    name = "nvml"
    coarse_below_s = 1.0

    def __init__(self, nvml: Any, handles: Sequence[Any]) -> None:
        self._nvml, self._handles = nvml, handles
        self.joules()

    def joules(self) -> float:
        return sum(int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) for handle in self._handles) / 1000


class RaplCounter:
    """The sum over the CPU packages, each of whose counters wraps around. Raises OSError if one cannot be read."""

    name = "rapl"
    coarse_below_s = 0.05  # it is updated each millisecond

    def __init__(self, zones: Sequence[Path]) -> None:
        self._zones = zones
        self._range_uj = [int((zone / "max_energy_range_uj").read_text()) for zone in zones]
        self._last_uj = [self._read(zone) for zone in zones]
        self._total_uj = 0

    def joules(self) -> float:
        now_uj = [self._read(zone) for zone in self._zones]
        for now, last, full in zip(now_uj, self._last_uj, self._range_uj, strict=True):
            self._total_uj += now - last if now >= last else now - last + full
        self._last_uj = now_uj
        return self._total_uj / 1e6

    @staticmethod
    def _read(zone: Path) -> int:
        return int((zone / "energy_uj").read_text())


def open_counter(is_cuda: bool, count: int = 1) -> Counter | None:
    """A counter of the energy of the CPU, or of the first `count` visible GPUs; None if there is none."""
    if not is_cuda:
        return cpu_counter()
    import torch

    return gpu_counter([f"GPU-{torch.cuda.get_device_properties(index).uuid}" for index in range(count)])


def visible_counter(device: str) -> Counter | None:
    """What counts the energy of all visible GPUs (`cuda`), or of the CPU; None where nothing does. Imports no torch."""
    if device != "cuda":
        return cpu_counter()
    with visible_gpus() as found:
        uuids = [gpu.uuid for gpu in found.gpus if gpu.uuid is not None]
    return gpu_counter(uuids) if uuids else None


def gpu_counter(uuids: Sequence[str], nvml: Any = None) -> Counter | None:
    """The counter of the GPUs with these UUIDs (`GPU-…`); None if one of them has no counter.

    Also None if a board is divided (MIG), because its counter includes what the other slices use.
    """
    if nvml is None:
        import pynvml

        nvml = pynvml
    try:
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in uuids]
        if not handles or any(_is_divided(nvml, handle) for handle in handles):
            return None
        return NvmlCounter(nvml, handles)
    except nvml.NVMLError:
        return None


def cpu_counter(powercap: Path = POWERCAP) -> Counter | None:
    """The counter of the CPU packages; None if there is none or only root may read it."""
    # intel-rapl:0 is a package (also on AMD); intel-rapl:0:0 is a part of it.
    zones = [zone for zone in sorted(powercap.glob("intel-rapl:*")) if zone.name.count(":") == 1]
    try:
        packages = [zone for zone in zones if (zone / "name").read_text().startswith("package")]
        return RaplCounter(packages) if packages else None
    except (OSError, ValueError):
        return None


class EnergyMeter:
    """Measures the joules of each phase; a phase ends when the next one is entered."""

    def __init__(self, counter: Counter | None, now: Callable[[], float] = time.monotonic) -> None:
        self.source = counter.name if counter else None
        self._coarse_below_s = counter.coarse_below_s if counter else 0.0
        self._read: Callable[[], float | None] = counter.joules if counter else lambda: None
        self._spent_j: dict[str, float] = defaultdict(float)
        self._phase, self._phase_began_j = "", self._safely()
        # NVML's counter does not wrap around, so it is not read in between, which could disturb what is timed.
        self._now, self._next_look_s = now, now() + LOOK_EVERY_S if isinstance(counter, RaplCounter) else math.inf

    def look(self) -> None:
        """Call it often in a long phase, or a counter that wraps around twice between two readings loses a round."""
        if (now_s := self._now()) >= self._next_look_s:
            self._next_look_s = now_s + LOOK_EVERY_S
            self._safely()

    def enter(self, phase: str) -> None:
        """Count energy for `phase` from now on."""
        now_j = self._safely()
        if now_j is not None and self._phase_began_j is not None:
            self._spent_j[self._phase] += now_j - self._phase_began_j
        self._phase, self._phase_began_j = phase, now_j

    def spent_j(self) -> dict[str, float]:
        """The joules of each phase so far; empty without a counter."""
        self.enter(self._phase)
        return dict(self._spent_j)

    def carry(self, spent_j: Mapping[str, float]) -> None:
        """Add the joules of an earlier part of the run, by phase."""
        for phase, joules in spent_j.items():
            self._spent_j[phase] += joules

    def metrics(self, train_s: float) -> dict[str, float | bool | None]:
        """`energy_j` since the meter was made, `train_energy_j` of the phases `train`; None without a counter.

        Also None if the counter stood still, as those that some hypervisors show: nothing runs on 0 J. If there was
        training, `train_energy_coarse` says whether it was too short for the counter.
        """
        self.enter(self._phase)
        spent_j = sum(self._spent_j.values())
        counts = self.source is not None and spent_j > 0
        whole: dict[str, float | bool | None] = {"energy_j": spent_j if counts else None}
        if not train_s:
            return whole
        return whole | {
            "train_energy_j": self._spent_j["train"] if counts else None,
            "train_energy_coarse": train_s < self._coarse_below_s if counts else None,
        }

    def _safely(self) -> float | None:
        """Read the counter; if it fails, the energy is no longer measured but the run goes on."""
        try:
            return self._read()
        except Exception as error:
            if self.source is None:
                raise
            print(f"energy is not counted any more: {error}")
            self.source, self._read = None, lambda: None
            return None


def _is_divided(nvml: Any, handle: Any) -> bool:
    try:
        current, _ = nvml.nvmlDeviceGetMigMode(handle)
    except nvml.NVMLError:
        return False  # a board that cannot be divided does not support the query
    return bool(current)
