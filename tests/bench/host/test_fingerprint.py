from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pynvml
import pytest

from bench.host import fingerprint

IN_A_NEW_PROCESS = """
import json, os, sys
from bench.host import fingerprint
{prepare}
print(json.dumps(fingerprint.fingerprint() | {{"torch is loaded": "torch" in sys.modules}}))
"""


def fingerprint_elsewhere(prepare: str = "", **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_NEW_PROCESS.format(prepare=prepare)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def test_facts_agree_with_the_machine() -> None:
    facts = fingerprint.fingerprint()
    assert re.fullmatch("[0-9a-f]{12}", facts["id"])
    assert facts["cpu_model"]
    assert facts["usable_cores"] == len(os.sched_getaffinity(0))
    assert 0 < facts["memory_bytes"] <= psutil.virtual_memory().total
    assert facts["torch"].split("+")[0] == metadata.version("torch").split("+")[0]
    json.dumps(facts, allow_nan=False)


def test_it_does_not_tell_whose_machine_it_is() -> None:
    text = json.dumps(fingerprint.fingerprint())
    for private in (socket.gethostname(), str(Path.home()), str(Path.cwd())):
        assert private not in text


def test_the_id_is_the_same_with_and_without_torch() -> None:
    without, loaded = fingerprint_elsewhere(), fingerprint_elsewhere("import torch; torch.set_num_threads(1)")
    assert not without["torch is loaded"]
    assert without["torch_threads"] is None
    assert loaded["torch is loaded"]
    assert loaded["torch_threads"] == 1
    assert loaded["torch_cpu_capability"]
    assert loaded["id"] == without["id"]


def test_what_slows_the_machine_changes_the_id() -> None:
    usual = fingerprint_elsewhere(OMP_NUM_THREADS="64")
    assert fingerprint_elsewhere(OMP_NUM_THREADS="1")["id"] != usual["id"]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs 2 cores")
def test_affinity_is_respected() -> None:
    cpu = min(os.sched_getaffinity(0))
    bound = fingerprint_elsewhere(f"os.sched_setaffinity(0, {{{cpu}}})")
    assert bound["usable_cores"] == 1
    assert bound["id"] != fingerprint_elsewhere()["id"]


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.cfs_quota_us": "200000\n", "cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_cpu_quota_of_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: float | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(fingerprint, "_cgroup_folders", lambda _: [tmp_path, tmp_path / "gone"])
    assert fingerprint.fingerprint()["cpu_quota"] == cores


@pytest.mark.parametrize("name", ["memory.max", "memory.limit_in_bytes"])
@pytest.mark.parametrize(("limit", "is_lower"), [("1073741824", True), ("max", False), (str(2**63 - 4096), False)])
def test_memory_limit_of_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: str, is_lower: bool
) -> None:
    (tmp_path / name).write_text(limit)
    monkeypatch.setattr(fingerprint, "_cgroup_folders", lambda _: [tmp_path])
    total = psutil.virtual_memory().total
    assert fingerprint.fingerprint()["memory_bytes"] == (2**30 if is_lower else total)


def fails(error: Exception) -> Callable[..., Any]:
    def ask(*_: object, **__: object) -> Any:
        raise error

    return ask


@pytest.mark.parametrize(
    "answer",
    [
        *map(fails, [FileNotFoundError(2, "cpuinfo_max_freq"), ValueError("<unknown>"), NotImplementedError()]),
        lambda: None,
        lambda: SimpleNamespace(max=float("nan")),
        lambda: SimpleNamespace(max=float("inf")),
    ],
)
def test_a_frequency_that_cannot_be_read_is_null(monkeypatch: pytest.MonkeyPatch, answer: Callable[..., Any]) -> None:
    monkeypatch.setattr(psutil, "cpu_freq", answer)
    facts = fingerprint.fingerprint()
    assert facts["cpu_mhz_max"] is None
    assert facts["cpu_model"]


@pytest.mark.parametrize(
    ("where", "name", "facts"),
    [
        (psutil, "cpu_count", ["logical_cores", "physical_cores"]),
        (psutil, "virtual_memory", ["memory_bytes"]),
        (fingerprint, "core_of", ["usable_physical_cores"]),
        (fingerprint, "_cgroup_folders", ["cpu_quota", "memory_bytes"]),
        (fingerprint, "_cpu_model", ["cpu_model"]),
        (importlib.util, "find_spec", ["torch", "torch_cuda"]),
        (os, "sched_getaffinity", ["usable_cores", "usable_physical_cores"]),
    ],
)
def test_what_cannot_be_asked_is_null_alone(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, facts: list[str]
) -> None:
    usual = fingerprint.fingerprint()
    monkeypatch.setattr(where, name, fails(RuntimeError("odd machine")))
    found = fingerprint.fingerprint()
    assert {key for key in usual if found[key] is None and usual[key] is not None} == {
        key for key in facts if usual[key] is not None
    }
    assert fingerprint.device_count(found, "cpu") >= 1
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("cpu.max", b"100000 0"),
        ("cpu.max", b"\xff\xfe"),
        ("cpu.max", b""),
        ("cpu.cfs_quota_us", b"many"),
        ("memory.max", b"\xff"),
        ("memory.max", b"-"),
    ],
)
def test_odd_limits_are_no_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: bytes) -> None:
    (tmp_path / file).write_bytes(content)
    monkeypatch.setattr(fingerprint, "_cgroup_folders", lambda _: [tmp_path])
    facts = fingerprint.fingerprint()
    assert (facts["cpu_quota"], facts["memory_bytes"]) == (None, psutil.virtual_memory().total)


def test_no_gpu_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", no_library)
    facts = fingerprint.fingerprint()
    assert (facts["gpus"], facts["gpu_driver"], facts["device"]) == ([], None, "cpu")


def test_equal_gpus_are_one_entry_with_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    answers = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 3,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetUUID": lambda handle: f"GPU-{handle}",
        "nvmlDeviceGetName": lambda handle: "Small" if handle == 2 else "Big",
        "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(total=2**34),
        "nvmlDeviceGetPowerManagementLimit": lambda _: 300_000,
        "nvmlDeviceGetCudaComputeCapability": lambda _: (9, 0),
        "nvmlDeviceGetMaxClockInfo": lambda _, clock: 1980 if clock == pynvml.NVML_CLOCK_SM else 2600,
        "nvmlDeviceGetMigMode": unsupported,
        "nvmlSystemGetDriverVersion": lambda: "570.1",
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    facts = fingerprint.fingerprint()
    assert [(gpu["name"], gpu["count"]) for gpu in facts["gpus"]] == [("Big", 2), ("Small", 1)]
    big = {key: value for key, value in facts["gpus"][0].items() if key not in ("name", "count")}
    assert big == {
        "memory_bytes": 2**34,
        "compute_capability": "9.0",
        "power_limit_w": 300.0,
        "sm_clock_max_mhz": 1980,
        "memory_clock_max_mhz": 2600,
        "mig": None,
    }
    assert facts["gpu_driver"] == "570.1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert [gpu["name"] for gpu in fingerprint.fingerprint()["gpus"]] == ["Small"]


@pytest.mark.parametrize(
    ("facts", "device", "count"),
    [
        ({"gpus": [{"count": 2}, {"count": 1}]}, "cuda", 3),
        ({"gpus": []}, "cuda", 0),
        ({"usable_physical_cores": 8, "usable_cores": 16, "cpu_quota": None}, "cpu", 8),
        ({"usable_physical_cores": None, "usable_cores": 4, "cpu_quota": None}, "cpu", 4),
        ({"usable_physical_cores": 64, "usable_cores": 64, "cpu_quota": 2.5}, "cpu", 2),
        ({"usable_physical_cores": 64, "usable_cores": 64, "cpu_quota": 0.5}, "cpu", 1),
    ],
)
def test_devices_are_gpus_or_the_cores_that_may_be_used(facts, device, count):
    assert fingerprint.device_count(facts, device) == count
