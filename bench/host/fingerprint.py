"""The machine's fingerprint: the facts that determine its speed, without any that identify its owner."""

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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil

from bench.host.gpus import Gpu, visible_gpus
from bench.host.host_key import host_key
from bench.text.canonical import canonical_json

Value = TypeVar("Value")

# The instruction sets between which linear algebra libraries choose.
CPU_FLAGS = (
    "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_bf16", "avx512_fp16",
    "avx512_vnni", "avx_vnni", "amx_tile", "amx_bf16", "amx_int8", "amx_fp16", "asimd", "asimdhp", "bf16",
    "sve", "sve2", "i8mm",
)  # fmt: skip

# Those that multiply whole numbers of 8 bits, for oneDNN. On other CPUs it is slower, and sums may overflow.
_VNNI = {"avx512_vnni", "avx_vnni", "amx_int8"}

# Not in the id: the versions of the kernel and of Python, the exact bytes of memory (they change with the kernel), and
# facts that need torch to be loaded. OMP_NUM_THREADS is in it, the usual reason why a machine is suddenly slower.
_IDENTITY = (
    "device", "cpu_model", "cpu_stepping", "cpu_flags", "cpu_mhz_max", "usable_cores",
    "usable_physical_cores", "cpu_quota", "omp_num_threads", "gpus", "gpu_driver", "torch", "torch_cuda", "torch_hip",
)  # fmt: skip
_UNLIMITED_BYTES = 1 << 60
CORE_IDS = ("physical_package_id", "core_id")


def fingerprint(salt: str | None = None) -> dict[str, Any]:
    """The facts as a flat dict of JSON values, None if unknown. Takes milliseconds and raises nothing.

    `id` is 12 hex digits that are equal if timings may be compared. It does not depend on whether torch is loaded;
    `torch_cudnn`, `torch_cpu_capability` and `torch_threads` do, and are None without it. `usable_cores` respects
    affinity; `cpu_quota` is the container's limit in cores. `gpu_unused` says why an existing GPU is not used.
    `host` is the `host_key` by `salt`, by default the user's own; it is not part of `id`.
    """
    gpus, driver, hidden = _gpus()
    build, memory_bytes = torch_build(), _known(memory_bytes_usable)
    facts: dict[str, Any] = {
        "device": _device_of(gpus, build),
        **_cpu(),
        "memory_bytes": memory_bytes,
        "os": platform.system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "gpus": gpus,
        "gpu_driver": driver,
        "gpu_unused": _why_unused(gpus, hidden, build),
        **build,
        **_loaded_torch(),
        "host": _known(lambda: host_key(salt)),
    }
    memory_gib = None if memory_bytes is None else round(memory_bytes / 2**30)
    identity = {key: facts[key] for key in _IDENTITY} | {"memory_gib": memory_gib}
    return {"id": hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:12], **facts}


def device_count(machine: Mapping[str, Any], device: str) -> int:
    """The largest number of ranks for a run on `device`, by a machine's fingerprint: its GPUs, or its usable
    CPU cores."""
    if device == "cuda":
        return sum(int(gpu["count"]) for gpu in machine["gpus"])
    cores = int(machine["usable_physical_cores"] or machine["usable_cores"] or 1)
    quota = machine["cpu_quota"]
    return max(1, min(cores, int(quota)) if quota else cores)


def core_of(cpu: int) -> tuple[int, int] | None:
    """The package of a hardware thread and its core number there; None if the system does not say."""
    package, core = (_read_number(Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/{name}")) for name in CORE_IDS)
    return None if package is None or core is None else (package, core)


def usable_cpus() -> list[int]:
    """The hardware threads that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def physical_cores(cpus: Sequence[int]) -> int | None:
    """The number of distinct cores to which these hardware threads belong."""
    cores = {core_of(cpu) for cpu in cpus}
    return None if None in cores else len(cores) or None


def oom_kills() -> int:
    """How many processes the kernel has killed for lack of memory since it booted; 0 if unknown."""
    try:
        with open("/proc/vmstat") as vmstat:
            return next((int(line.split()[1]) for line in vmstat if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0


def default_device() -> str:
    """`cuda` if there is a GPU and torch was built for it, else `cpu`. Does not import torch."""
    gpus, _, _ = _gpus()
    return _device_of(gpus, torch_build())


def chosen_device(asked: str) -> str:
    """`cpu` or `cuda`: what was asked for, and for `auto` the `default_device`."""
    return default_device() if asked == "auto" else str(asked)


def _device_of(gpus: Sequence[Mapping[str, Any]], build: Mapping[str, Any]) -> str:
    return "cuda" if gpus and build["torch_cuda"] else "cpu"


def _why_unused(gpus: Sequence[Mapping[str, Any]], hidden: str | None, build: Mapping[str, Any]) -> str | None:
    """Why a machine's GPU is not used, in words; None if it is used or if there is none."""
    if gpus and not build["torch_cuda"]:
        return f"torch {build['torch']} is a CPU build, and this machine has a GPU; install a CUDA build to use it"
    return hidden


def _known(question: Callable[[], Value]) -> Value | None:
    """The answer, or None if the question raises: an odd system file must not end a run."""
    try:
        return question()
    except Exception:
        return None


def lack_of_precision(precision: str, device: str) -> str | None:
    """Why a device cannot compute in a precision; None if it can."""
    if precision == "tf32" and device != "cuda":
        return "precision: tf32 is a format of CUDA's tensor cores; on a CPU use fp32 or bf16"
    if precision == "int8" and device == "cuda":
        return "inference.precision: int8 is made for a CPU; on a GPU use pure_fp16"
    if precision == "int8" and not _VNNI & set(_cpu()["cpu_flags"]):
        return f"inference.precision: int8 needs a CPU with one of {', '.join(sorted(_VNNI))}; use fp32 on this one"
    return None


@functools.cache
def native_precision(device: str) -> str:
    """The meaning of `precision: auto`: the half precision that a device computes natively, else fp32."""
    if device == "cuda":
        return "fp16"
    return "bf16" if {"avx512_bf16", "amx_bf16", "bf16"} & set(_cpu()["cpu_flags"]) else "fp32"


def instruction_set() -> str:
    """A text describing this CPU's instruction sets. Code compiled for one text runs wherever the text is the same."""
    info = _cpuinfo()
    named = (info.get(key, "") for key in ("cpu family", "model", "stepping", "flags", "Features"))
    return " ".join((platform.machine(), _cpu_model(info), *named))


def torch_build() -> dict[str, Any]:
    """Version, CUDA and HIP of the installed torch, from its version file; None for each that is missing."""
    text = _known(_torch_version_file) or ""
    keys = {"torch": "__version__", "torch_cuda": "cuda", "torch_hip": "hip"}
    return {key: _assigned(text, name) for key, name in keys.items()}


def _torch_version_file() -> str:
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")


def _assigned(source: str, name: str) -> str | None:
    """The string that a Python source assigns to a name, with or without an annotation."""
    found = re.search(rf"^{name}\s*(?::[^=]+)?=\s*['\"]([^'\"]+)['\"]", source, re.MULTILINE)
    return found[1] if found else None


def _loaded_torch() -> dict[str, Any]:
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return {"torch_cudnn": None, "torch_cpu_capability": None, "torch_threads": None}
    return {
        "torch_cudnn": _known(lambda: torch.backends.cudnn.version() if torch.version.cuda else None),
        "torch_cpu_capability": _known(lambda: torch.backends.cpu.get_cpu_capability()),
        "torch_threads": _known(lambda: torch.get_num_threads()),
    }


def _cpu() -> dict[str, Any]:
    info = _cpuinfo()
    usable = _known(usable_cpus)
    stepping = [info.get(key) for key in ("cpu family", "model", "stepping")]
    flags = set((info.get("flags") or info.get("Features") or "").split())
    return {
        "cpu_model": _known(lambda: _cpu_model(info)),
        # Virtual machines give several generations the same name; these numbers distinguish them.
        "cpu_stepping": "/".join(map(str, stepping)) if all(stepping) else None,
        "cpu_arch": platform.machine(),
        "cpu_flags": [flag for flag in CPU_FLAGS if flag in flags],
        "cpu_mhz_max": _known(_mhz_max),
        "logical_cores": _known(psutil.cpu_count),
        "physical_cores": _known(lambda: psutil.cpu_count(logical=False)),
        "usable_cores": len(usable) if usable else None,
        "usable_physical_cores": _known(lambda: physical_cores(usable or [])),
        "cpu_quota": _known(_cpu_quota),
    }


def _mhz_max() -> int | None:
    frequency = psutil.cpu_freq()
    return round(frequency.max) if frequency and frequency.max else None


def _cpuinfo() -> dict[str, str]:
    """The first processor's entry in /proc/cpuinfo; empty if there is none."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
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


def _cgroup_folders(controller: str) -> list[Path]:
    """This process's cgroup and its ancestors, of version 2 and of version 1's `controller`."""
    root = Path("/sys/fs/cgroup")
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    folders: list[Path] = []
    for line in lines:
        if line.count(":") < 2:
            continue
        _, controllers, path = line.split(":", 2)
        if controllers == "" or controller in controllers.split(","):
            base = root / controller if controllers else root
            # Inside a container the path is often the host's, while the limits are at the top of the mount.
            own = base / path.lstrip("/")
            folders += [own, *(parent for parent in own.parents if parent.is_relative_to(base))]
    return folders


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _cpu_quota() -> float | None:
    """The smallest CPU limit of this cgroup and its ancestors, in cores; None if there is none."""
    limits = []
    for folder in _cgroup_folders("cpu"):
        try:
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
            limits += [int(quota) / int(period)] if quota != "max" else []
        except (OSError, ValueError, ZeroDivisionError):
            quota_us, period_us = (_read_number(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
            limits += [quota_us / period_us] if quota_us and period_us and quota_us > 0 else []
    return min(limits, default=None)


def memory_bytes_usable() -> int:
    """The memory that this process may use: the machine's, or the smallest limit of its cgroup and its ancestors."""
    limits = [psutil.virtual_memory().total]
    for folder in _cgroup_folders("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _read_number(folder / name)
            if limit is not None and limit < _UNLIMITED_BYTES:
                limits.append(limit)
    return int(min(limits))


def _gpus() -> tuple[list[dict[str, Any]], str | None, str | None]:
    """The visible NVIDIA GPUs, equal ones as one entry with a count, the driver's version, and why some are hidden."""
    with visible_gpus() as found:
        kinds = Counter(tuple(_gpu(gpu).items()) for gpu in found.gpus)
        return [dict(kind) | {"count": count} for kind, count in kinds.items()], found.driver, found.hidden


def _gpu(gpu: Gpu) -> dict[str, Any]:
    memory, power_mw = gpu.ask("nvmlDeviceGetMemoryInfo"), gpu.ask("nvmlDeviceGetPowerManagementLimit")
    capability, mig = gpu.ask("nvmlDeviceGetCudaComputeCapability"), gpu.ask("nvmlDeviceGetMigMode")
    sm, memory_clock = 1, 2  # NVML_CLOCK_SM and NVML_CLOCK_MEM
    is_slice = gpu.uuid is not None and gpu.uuid.startswith("MIG-")
    return {
        "name": gpu.ask("nvmlDeviceGetName"),
        "memory_bytes": memory.total if memory else None,
        "compute_capability": ".".join(map(str, capability)) if capability else None,
        "power_limit_w": power_mw / 1000 if power_mw else None,
        "sm_clock_max_mhz": gpu.ask("nvmlDeviceGetMaxClockInfo", sm),
        "memory_clock_max_mhz": gpu.ask("nvmlDeviceGetMaxClockInfo", memory_clock),
        "mig": True if is_slice else bool(mig[0]) if mig else None,
    }
