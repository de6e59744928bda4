"""The machine's fingerprint: what decides its speed, and nothing that tells whose it is."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import platform
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from bench.run import canonical_json

# The instruction sets that linear algebra is dispatched on.
CPU_FLAGS = (
    "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_bf16", "avx512_fp16",
    "avx512_vnni", "avx_vnni", "amx_tile", "amx_bf16", "amx_int8", "amx_fp16", "asimd", "asimdhp", "bf16",
    "sve", "sve2", "i8mm",
)  # fmt: skip

# Not in the id: the kernel's and Python's versions, exact bytes of memory (they move with the kernel), and
# what only a loaded torch tells. OMP_NUM_THREADS is in it: the usual reason why a machine is suddenly slower.
_IDENTITY = (
    "device", "cpu_model", "cpu_stepping", "cpu_flags", "cpu_mhz_max", "usable_cores",
    "usable_physical_cores", "cpu_quota", "omp_num_threads", "gpus", "gpu_driver", "torch", "torch_cuda", "torch_hip",
)  # fmt: skip
_UNLIMITED_BYTES = 1 << 60
CORE_IDS = ("physical_package_id", "core_id")


def fingerprint() -> dict[str, Any]:
    """The facts as a flat dict of JSON values, None where the machine does not say; takes milliseconds.

    `id` is 12 hex digits, equal where timings may be compared. It does not depend on whether torch is
    loaded; `torch_cudnn`, `torch_cpu_capability` and `torch_threads` do: they are None where it is not.
    `usable_cores` respects affinity; `cpu_quota` is the container's limit in cores.
    """
    gpus, driver = _gpus()
    facts: dict[str, Any] = {
        "device": default_device(),
        **_cpu(),
        "memory_bytes": _memory_bytes(),
        "os": platform.system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "gpus": gpus,
        "gpu_driver": driver,
        **torch_build(),
        **_loaded_torch(),
    }
    identity = {key: facts[key] for key in _IDENTITY} | {"memory_gib": round(facts["memory_bytes"] / 2**30)}
    return {"id": hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:12], **facts}


def device_count(machine: Mapping[str, Any], device: str) -> int:
    """How many ranks a run on `device` may have, by a machine's fingerprint: its GPUs, or the CPU's usable cores."""
    if device == "cuda":
        return sum(int(gpu["count"]) for gpu in machine["gpus"])
    cores = int(machine["usable_physical_cores"] or machine["usable_cores"])
    quota = machine["cpu_quota"]
    return max(1, min(cores, int(quota)) if quota else cores)


def core_of(cpu: int) -> tuple[int, int] | None:
    """The package of a hardware thread and the number of its core there; None where the system does not say."""
    package, core = (_read_number(Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/{name}")) for name in CORE_IDS)
    return None if package is None or core is None else (package, core)


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since it booted; 0 where it does not say."""
    try:
        with open("/proc/vmstat") as vmstat:
            return next((int(line.split()[1]) for line in vmstat if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0


def default_device() -> str:
    """`cuda` where there is a GPU and a torch that was built for it, else `cpu`; torch is not imported."""
    build = torch_build()
    gpus, _ = _gpus()
    return "cuda" if gpus and build["torch_cuda"] else "cpu"


def lack_of_precision(precision: str, device: str) -> str | None:
    """Why a device cannot compute in a precision; None where it can."""
    if precision == "tf32" and device != "cuda":
        return "precision: tf32 is a format of CUDA's tensor cores; on a CPU use fp32 or bf16"
    return None


@functools.cache
def native_precision(device: str) -> str:
    """What `precision: auto` means: the half precision that a device computes natively, else fp32."""
    if device == "cuda":
        return "fp16"
    return "bf16" if {"avx512_bf16", "amx_bf16", "bf16"} & set(_cpu()["cpu_flags"]) else "fp32"


def instruction_set() -> str:
    """All that a compiler may ask of this CPU, in words: code made for one such text runs wherever it is the same."""
    info = _cpuinfo()
    named = (info.get(key, "") for key in ("cpu family", "model", "stepping", "flags", "Features"))
    return " ".join((platform.machine(), _cpu_model(info), *named))


def torch_build() -> dict[str, Any]:
    """Version, CUDA and HIP of the installed torch, from its version file; None each without one."""
    spec = importlib.util.find_spec("torch")
    version = Path(spec.origin).with_name("version.py") if spec and spec.origin else None
    text = version.read_text(encoding="utf-8") if version and version.exists() else ""
    keys = {"torch": "__version__", "torch_cuda": "cuda", "torch_hip": "hip"}
    return {key: _assigned(text, name) for key, name in keys.items()}


def visible_gpus(uuids: Sequence[str], visible: str | None) -> list[int]:
    """The positions that CUDA_VISIBLE_DEVICES leaves: numbers or beginnings of UUIDs, until one is invalid."""
    if visible is None:
        return list(range(len(uuids)))
    chosen: list[int] = []
    for item in (part.strip() for part in visible.split(",")):
        if item.isdecimal() and int(item) < len(uuids):
            chosen.append(int(item))
        elif item and (found := [i for i, uuid in enumerate(uuids) if uuid.startswith(item)]):
            chosen.append(found[0])
        else:
            break
    return chosen


def _assigned(source: str, name: str) -> str | None:
    """The text that a Python module assigns to a name, with or without an annotation."""
    found = re.search(rf"^{name}\s*(?::[^=]+)?=\s*['\"]([^'\"]+)['\"]", source, re.MULTILINE)
    return found[1] if found else None


def _loaded_torch() -> dict[str, Any]:
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return {"torch_cudnn": None, "torch_cpu_capability": None, "torch_threads": None}
    return {
        "torch_cudnn": torch.backends.cudnn.version() if torch.version.cuda else None,
        "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch_threads": torch.get_num_threads(),
    }


def _cpu() -> dict[str, Any]:
    info = _cpuinfo()
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    stepping = [info.get(key) for key in ("cpu family", "model", "stepping")]
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    flags = set((info.get("flags") or info.get("Features") or "").split())
    return {
        "cpu_model": _cpu_model(info),
        # Virtual machines give several generations one name; these numbers tell them apart.
        "cpu_stepping": "/".join(map(str, stepping)) if all(stepping) else None,
        "cpu_arch": platform.machine(),
        "cpu_flags": [flag for flag in CPU_FLAGS if flag in flags],
        "cpu_mhz_max": round(frequency.max) if frequency and frequency.max else None,
        "logical_cores": psutil.cpu_count(),
        "physical_cores": psutil.cpu_count(logical=False),
        "usable_cores": len(usable),
        "usable_physical_cores": _physical(usable),
        "cpu_quota": _cpu_quota(),
    }


def _cpuinfo() -> dict[str, str]:
    """The first processor's entry in /proc/cpuinfo, empty where there is none."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _cpu_model(info: dict[str, str]) -> str:
    if "model name" in info:
        return info["model name"]
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    if "CPU part" in info:
        return f"{platform.machine()} implementer {info.get('CPU implementer')} part {info['CPU part']}"
    return platform.processor() or platform.machine()


def _physical(cpus: Sequence[int]) -> int | None:
    """How many distinct cores these hardware threads are of."""
    cores = {core_of(cpu) for cpu in cpus}
    return None if None in cores else len(cores)


def _cgroup_folders(controller: str) -> list[Path]:
    """This process's cgroup and its ancestors, of version 2 and of version 1's `controller`."""
    root = Path("/sys/fs/cgroup")
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    folders: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "" or controller in controllers.split(","):
            base = root / controller if controllers else root
            # Inside a container the path is often the host's, and the limits are at the mount's top.
            own = base / path.lstrip("/")
            folders += [own, *(parent for parent in own.parents if parent.is_relative_to(base))]
    return folders


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _cpu_quota() -> float | None:
    """The least CPU limit on the way up, in cores; None where there is none."""
    limits = []
    for folder in _cgroup_folders("cpu"):
        try:
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
            limits += [int(quota) / int(period)] if quota != "max" else []
        except (OSError, ValueError):
            quota_us, period_us = (_read_number(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
            limits += [quota_us / period_us] if quota_us and period_us and quota_us > 0 else []
    return min(limits, default=None)


def _memory_bytes() -> int:
    """What this process may use: the machine's memory or the least limit on the way up."""
    limits = [psutil.virtual_memory().total]
    for folder in _cgroup_folders("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _read_number(folder / name)
            if limit is not None and limit < _UNLIMITED_BYTES:
                limits.append(limit)
    return int(min(limits))


def _gpus() -> tuple[list[dict[str, Any]], str | None]:
    """The visible NVIDIA GPUs, equal ones as one entry with a count, and the driver's version."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return [], None
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        visible = visible_gpus([pynvml.nvmlDeviceGetUUID(h) for h in handles], os.environ.get("CUDA_VISIBLE_DEVICES"))
        kinds = Counter(tuple(_gpu(handles[i]).items()) for i in visible)
        return [dict(kind) | {"count": count} for kind, count in kinds.items()], pynvml.nvmlSystemGetDriverVersion()
    except pynvml.NVMLError:
        return [], None
    finally:
        pynvml.nvmlShutdown()


def _gpu(handle: Any) -> dict[str, Any]:
    import pynvml

    def ask(question: Any, *arguments: Any) -> Any:
        try:
            return question(handle, *arguments)
        except pynvml.NVMLError:
            return None

    memory, power_mw = ask(pynvml.nvmlDeviceGetMemoryInfo), ask(pynvml.nvmlDeviceGetPowerManagementLimit)
    capability = ask(pynvml.nvmlDeviceGetCudaComputeCapability)
    mig = ask(pynvml.nvmlDeviceGetMigMode)
    return {
        "name": ask(pynvml.nvmlDeviceGetName),
        "memory_bytes": memory.total if memory else None,
        "compute_capability": ".".join(map(str, capability)) if capability else None,
        "power_limit_w": power_mw / 1000 if power_mw else None,
        "sm_clock_max_mhz": ask(pynvml.nvmlDeviceGetMaxClockInfo, pynvml.NVML_CLOCK_SM),
        "memory_clock_max_mhz": ask(pynvml.nvmlDeviceGetMaxClockInfo, pynvml.NVML_CLOCK_MEM),
        "mig": bool(mig[0]) if mig else None,
    }
