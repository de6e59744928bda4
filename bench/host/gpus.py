"""The NVIDIA GPUs that a process may use, selected and numbered as CUDA does it, but by NVML without starting CUDA.

CUDA_VISIBLE_DEVICES is read as CUDA reads it (https://docs.nvidia.com/cuda/cuda-c-programming-guide, "CUDA Environment
Variables"): numbers count in CUDA's order, which differs from NVML's on a machine with different boards; UUIDs may be
shortened and may name a MIG slice; entries after an unknown one are ignored, and a device that is named twice hides
all.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ASK_CUDA_TIMEOUT_S = 20
PCI_DEVICES = Path("/sys/bus/pci/devices")
NVIDIA, DISPLAY_CLASSES = "0x10de", ("0x0300", "0x0302")
# Run in a process of its own, because a process that has started CUDA must not fork.
_ASK_CUDA = """
import ctypes, uuid
cuda = ctypes.CDLL("libcuda.so.1")
count = ctypes.c_int()
assert cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0
for number in range(count.value):
    device, raw = ctypes.c_int(), (ctypes.c_ubyte * 16)()
    assert cuda.cuDeviceGet(ctypes.byref(device), number) == 0 and cuda.cuDeviceGetUuid(raw, device) == 0
    print(f"GPU-{uuid.UUID(bytes=bytes(raw))}")
"""


@dataclass(frozen=True)
class Gpu:
    """A board, or a MIG slice of one. `ask` returns None if NVML has no answer; `uuid` is None if it has none."""

    handle: Any
    index: int
    uuid: str | None
    nvml: Any = field(repr=False)

    def ask(self, question: str, *arguments: Any) -> Any:
        """The result of an NVML function for this GPU, such as `nvmlDeviceGetName`."""
        return _safely(lambda: getattr(self.nvml, question)(self.handle, *arguments))


@dataclass(frozen=True)
class VisibleGpus:
    """The visible GPUs in CUDA's order, the driver's version, and why existing GPUs are not among them."""

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    hidden: str | None = None


@contextmanager
def visible_gpus(
    nvml: Any = None, environ: Mapping[str, str] = os.environ, pci: Path = PCI_DEVICES
) -> Iterator[VisibleGpus]:
    """The GPUs, usable while NVML is open. A machine without GPUs is not an error."""
    try:
        nvml = nvml or importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception as error:
        yield VisibleGpus(hidden=_why_no_nvml(error, pci))
        return
    try:
        yield _look(nvml, environ)
    finally:
        with suppress(Exception):
            nvml.nvmlShutdown()


def other_processes(uuids: Sequence[str], nvml: Any = None) -> int | None:
    """How many processes compute on these boards, besides this run's one on each; None if NVML does not say.

    They are only counted, because inside a container a process has a different id than NVML reports. Some containers
    see no process at all, not even this run's, which says nothing of others.
    """
    with visible_gpus(nvml, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}) as found:
        by_uuid = {gpu.uuid: gpu for gpu in found.gpus}
        told = [by_uuid[uuid].ask("nvmlDeviceGetComputeRunningProcesses") for uuid in uuids if uuid in by_uuid]
        if len(told) < len(uuids) or None in told or not any(told):
            return None
        return sum(max(0, len(processes) - 1) for processes in told)


def _look(nvml: Any, environ: Mapping[str, str]) -> VisibleGpus:
    count = _safely(nvml.nvmlDeviceGetCount) or 0
    boards: list[Gpu] = []
    for index in range(count):
        handle = _safely(functools.partial(nvml.nvmlDeviceGetHandleByIndex, index))
        if handle is not None:
            boards.append(Gpu(handle, index, _safely(functools.partial(nvml.nvmlDeviceGetUUID, handle)), nvml))
    driver = _safely(nvml.nvmlSystemGetDriverVersion)
    hidden = f"NVML gives no access to {count - len(boards)} of {count} GPUs" if len(boards) < count else None
    asked = environ.get("CUDA_VISIBLE_DEVICES")
    if asked is None:
        return VisibleGpus(tuple(_in_cuda_order(boards, environ)), driver, hidden)
    chosen, why = _chosen(boards, asked, environ, nvml)
    if boards and not chosen:
        hidden = f"CUDA_VISIBLE_DEVICES={asked} hides all {len(boards)} of this machine's GPUs{why and f': {why}'}"
    return VisibleGpus(tuple(chosen), driver, hidden)


def _chosen(boards: Sequence[Gpu], asked: str, environ: Mapping[str, str], nvml: Any) -> tuple[list[Gpu], str]:
    """The boards that CUDA_VISIBLE_DEVICES leaves visible; if none, also why."""
    items = [item.strip() for item in asked.split(",")]
    chosen: list[Gpu] = []
    # Numbers and UUIDs cannot be mixed: the first entry decides.
    by_number = re.match(r"[+-]?\d", items[0]) is not None
    ordered = _in_cuda_order(boards, environ) if by_number else list(boards)
    why = ""
    for item in items:
        gpu = _by_number(ordered, item) if by_number else _by_uuid(boards, item, nvml)
        if gpu is None:
            why = f"there is no {item!r}" if item not in ("", "-1") else ""
            break
        if any(gpu.uuid == one.uuid and gpu.index == one.index for one in chosen):
            return [], f"{item} stands twice in it"
        chosen.append(gpu)
        if gpu.uuid is not None and gpu.uuid.startswith("MIG-"):
            break  # a process gets one slice
    return chosen, why


def _by_number(ordered: Sequence[Gpu], item: str) -> Gpu | None:
    number = re.match(r"\+?\d+", item)
    return ordered[int(number[0])] if number and int(number[0]) < len(ordered) else None


def _by_uuid(boards: Sequence[Gpu], item: str, nvml: Any) -> Gpu | None:
    if item.startswith("MIG-"):
        handle = _safely(lambda: nvml.nvmlDeviceGetHandleByUUID(item))
        if handle is None:
            return None
        board = _safely(lambda: nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle))
        index = _safely(lambda: nvml.nvmlDeviceGetIndex(board))
        return Gpu(handle, -1 if index is None else index, item, nvml)
    named = [board for board in boards if board.uuid is not None and item and board.uuid.startswith(item)]
    return named[0] if len(named) == 1 else None


def _in_cuda_order(boards: Sequence[Gpu], environ: Mapping[str, str]) -> list[Gpu]:
    """By PCI bus, as NVML counts, unless the boards differ and CUDA puts the fastest first."""
    by_bus = sorted(boards, key=lambda board: (_bus_of(board), board.index))
    names = {board.ask("nvmlDeviceGetName") for board in boards}
    if len(names) < 2 or environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID":
        return by_bus
    place = {uuid: number for number, uuid in enumerate(cuda_uuids())}
    if all(board.uuid in place for board in boards):
        return sorted(boards, key=lambda board: place[str(board.uuid)])
    # If CUDA gives no answer, by the likely meaning of "fastest".
    return sorted(by_bus, key=_speed, reverse=True)


def _bus_of(board: Gpu) -> str:
    info = board.ask("nvmlDeviceGetPciInfo")
    bus = getattr(info, "busId", "")
    return bus.decode(errors="replace") if isinstance(bus, bytes) else str(bus)


def _speed(board: Gpu) -> tuple[float, float]:
    capability = board.ask("nvmlDeviceGetCudaComputeCapability") or (0, 0)
    cores, clock = board.ask("nvmlDeviceGetNumGpuCores"), board.ask("nvmlDeviceGetMaxClockInfo", 1)  # the SM's clock
    return float((cores or 0) * (clock or 0)), capability[0] + capability[1] / 10


@functools.cache
def cuda_uuids() -> tuple[str, ...]:
    """The UUIDs of all boards in CUDA's own order; empty if CUDA cannot be asked."""
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    command = [sys.executable, "-I", "-c", _ASK_CUDA]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=ASK_CUDA_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(done.stdout.split())


def _why_no_nvml(error: Exception, pci: Path) -> str | None:
    """Why NVML does not work on a machine that has a GPU; None if there is no GPU."""
    boards = 0
    with suppress(OSError):
        for device in pci.iterdir():
            vendor, kind = (_line(device / name) for name in ("vendor", "class"))
            boards += vendor == NVIDIA and kind.startswith(DISPLAY_CLASSES)
    if not boards:
        return None
    several = f"{boards} NVIDIA GPUs" if boards > 1 else "an NVIDIA GPU"
    return f"this machine has {several}, and its driver does not answer (NVML: {error}); see whether nvidia-smi does"


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _safely(question: Callable[[], Any]) -> Any:
    """The answer, or None: older drivers and boards do not support every query."""
    try:
        return question()
    except Exception:
        return None
