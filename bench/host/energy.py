"""Energy in joules, from the counters that the hardware keeps.

On a GPU, NVML's total energy counter of each board that is used (since Volta); on a CPU, RAPL's counter of each
package, where the kernel lets us read it. Both count all that runs there, ours or not. NVML's counter is renewed a few
dozen times a second at best, so that the energy of less than a second is more noise than figure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

COARSE_BELOW_S = 1.0
POWERCAP = Path("/sys/class/powercap")


class Counter(Protocol):
    """Joules since some moment; `name` says who counts."""

    name: str

    def joules(self) -> float: ...


class NvmlCounter:
    """The boards of `handles`, in sum. Raises NVMLError where one of them does not count."""

    name = "nvml"

    def __init__(self, nvml: Any, handles: Sequence[Any]) -> None:
        self._nvml, self._handles = nvml, handles
        self.joules()

    def joules(self) -> float:
        return sum(int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) for handle in self._handles) / 1000


class RaplCounter:
    """The CPU packages in sum; each counter starts again at zero after its range. Raises OSError where unreadable."""

    name = "rapl"

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
    """What counts the energy of the CPU, or of the first `count` visible GPUs; None where nothing does."""
    if not is_cuda:
        return cpu_counter()
    import torch

    return gpu_counter([f"GPU-{torch.cuda.get_device_properties(index).uuid}" for index in range(count)])


def gpu_counter(uuids: Sequence[str], nvml: Any = None) -> Counter | None:
    """The counter of the GPUs with these UUIDs (`GPU-…`), None where one of them has none.

    None too where a board is divided (MIG): its counter holds what the neighbours use.
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
    """The counter of the CPU packages, None where there is none or the kernel keeps it to root."""
    # intel-rapl:0 is a package (AMD's too); intel-rapl:0:0 is a part of it.
    zones = [zone for zone in sorted(powercap.glob("intel-rapl:*")) if zone.name.count(":") == 1]
    try:
        packages = [zone for zone in zones if (zone / "name").read_text().startswith("package")]
        return RaplCounter(packages) if packages else None
    except (OSError, ValueError):
        return None


class EnergyMeter:
    """Tells the joules of each phase, from a reading at the beginning of the next one."""

    def __init__(self, counter: Counter | None) -> None:
        self.source = counter.name if counter else None
        self._read: Callable[[], float | None] = counter.joules if counter else lambda: None
        self._spent_j: dict[str, float] = defaultdict(float)
        self._phase, self._phase_began_j = "", self._safely()

    def enter(self, phase: str) -> None:
        """What is spent from now on belongs to `phase`."""
        now_j = self._safely()
        if now_j is not None and self._phase_began_j is not None:
            self._spent_j[self._phase] += now_j - self._phase_began_j
        self._phase, self._phase_began_j = phase, now_j

    def metrics(self, train_s: float) -> dict[str, float | bool | None]:
        """`energy_j` since the meter was made, `train_energy_j` of the phases `train`; None where nobody counts.

        Where there was training, `train_energy_coarse` says whether it was too short for the counter.
        """
        self.enter(self._phase)
        counts = self.source is not None
        whole: dict[str, float | bool | None] = {"energy_j": sum(self._spent_j.values()) if counts else None}
        if not train_s:
            return whole
        return whole | {
            "train_energy_j": self._spent_j["train"] if counts else None,
            "train_energy_coarse": train_s < COARSE_BELOW_S if counts else None,
        }

    def _safely(self) -> float | None:
        """A reading; a counter that fails later ends the measuring of energy, not of the run."""
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
        return False  # a board that cannot be divided does not know the question
    return bool(current)
