from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from bench.execution import device_pool
from bench.host import fingerprint, gpus
from bench.host.gpus import visible_gpus

A, B, C = "GPU-aaaa-1", "GPU-aabb-2", "GPU-cccc-3"
SLICE = "MIG-0123-4567"


class Nvml:
    """A driver's library with these boards, by UUID; a board that is a MIG slice's, and questions that fail."""

    NVMLError = pynvml.NVMLError

    def __init__(self, names: dict[str, str], fails: tuple[str, ...] = (), init: int | None = None) -> None:
        self.names, self.fails, self.init_error = names, fails, init
        self.uuids = [*names]

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml"):
            raise AttributeError(name)

        def answer(*arguments: Any) -> Any:
            if name in self.fails:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            if name == "nvmlInit" and self.init_error is not None:
                raise pynvml.NVMLError(self.init_error)
            return getattr(self, _snake_case(name[4:]), lambda *_: None)(*arguments)

        return answer

    def device_get_count(self) -> int:
        return len(self.uuids)

    def device_get_handle_by_index(self, index: int) -> str:
        return self.uuids[index]

    def device_get_uuid(self, handle: str) -> str:
        return handle

    def device_get_name(self, handle: str) -> str:
        return "A100 MIG 1g.5gb" if handle == SLICE else self.names[handle]

    def device_get_memory_info(self, handle: str) -> Any:
        return SimpleNamespace(total=5 << 30 if handle == SLICE else 40 << 30)

    def device_get_pci_info(self, handle: str) -> Any:
        return SimpleNamespace(busId=f"00000000:{self.uuids.index(handle):02}:00.0".encode())

    def device_get_num_gpu_cores(self, handle: str) -> int:
        return {"big": 6912, "small": 1024}.get(self.names[handle], 0)

    def device_get_max_clock_info(self, handle: str, clock: int) -> int:
        return 1410

    def device_get_handle_by_uuid(self, uuid: str) -> str:
        if uuid not in (SLICE, *self.uuids):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return uuid

    def device_get_device_handle_from_mig_device_handle(self, handle: str) -> str:
        return self.uuids[-1]

    def device_get_index(self, handle: str) -> int:
        return self.uuids.index(handle)

    def device_get_compute_running_processes(self, handle: str) -> list[Any]:
        return []

    def system_get_driver_version(self) -> str:
        return "570.1"


def _snake_case(name: str) -> str:
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()


EQUAL = {A: "big", B: "big", C: "big"}


def found(nvml: Nvml, visible: str | None, **environ: str) -> list[str | None]:
    environment = environ | ({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    with visible_gpus(nvml, environment) as seen:
        return [gpu.uuid for gpu in seen.gpus]


@pytest.mark.parametrize(
    ("visible", "left"),
    [
        (None, [A, B, C]),
        ("", []),
        ("2,0", [C, A]),
        ("1,7,0", [B]),
        (" 1 , 2", [B, C]),
        ("-1", []),
        ("NoDevFiles", []),
        ("0,0", []),
        ("0,1,0", []),
        (f"{A},{A}", []),
        ("GPU-c", [C]),
        ("GPU-aa", []),  # two begin so
        ("GPU-x,GPU-c", []),
        (f"{C},0", [C]),
        ("0,GPU-c", [A]),
        (SLICE, [SLICE]),
        (f"{SLICE},{A}", [SLICE]),
        ("MIG-none", []),
    ],
)
def test_visible_devices_as_cuda_reads_them(visible: str | None, left: list[str]) -> None:
    assert found(Nvml(EQUAL), visible) == left


def test_on_a_mixed_board_numbers_count_in_cudas_order(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = Nvml({A: "small", B: "big", C: "small"})
    monkeypatch.setattr(gpus, "cuda_uuids", lambda: (B, C, A))
    assert found(nvml, "0") == [B]
    assert found(nvml, "1") == [C]
    assert found(nvml, None) == [B, C, A]
    assert found(nvml, "0", CUDA_DEVICE_ORDER="PCI_BUS_ID") == [A]
    monkeypatch.setattr(gpus, "cuda_uuids", tuple)  # where CUDA does not answer, the one with most cores is the fastest
    assert found(nvml, "0,1") == [B, A]
    assert found(nvml, A) == [A]


@pytest.mark.parametrize("refused", ["nvmlDeviceGetUUID", "nvmlDeviceGetName", "nvmlDeviceGetMemoryInfo",
                                     "nvmlSystemGetDriverVersion", "nvmlDeviceGetComputeRunningProcesses",
                                     "nvmlDeviceGetPciInfo"])  # fmt: skip
def test_one_question_that_fails_is_one_null(monkeypatch: pytest.MonkeyPatch, refused: str) -> None:
    fake(monkeypatch, Nvml(EQUAL, fails=(refused,)))
    facts = fingerprint.fingerprint()
    assert [gpu["count"] for gpu in facts["gpus"]] == [3]
    assert facts["gpus"][0]["name"] == (None if refused == "nvmlDeviceGetName" else "big")
    assert len(device_pool.find_gpus().free) == 3


def test_one_board_that_is_lost_leaves_the_others() -> None:
    nvml = Nvml(EQUAL)
    monkey = nvml.device_get_handle_by_index

    def lost(index: int) -> str:
        if index == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return monkey(index)

    nvml.device_get_handle_by_index = lost  # type: ignore[method-assign]
    with visible_gpus(nvml, {}) as seen:
        assert [gpu.uuid for gpu in seen.gpus] == [A, C]
        assert seen.hidden == "NVML gives no access to 1 of 3 GPUs"


def test_a_mig_slice_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, Nvml(EQUAL), CUDA_VISIBLE_DEVICES=SLICE)
    monkeypatch.setattr(fingerprint, "torch_build", lambda: {"torch": "2.13", "torch_cuda": "12.8", "torch_hip": None})
    facts = fingerprint.fingerprint()
    (gpu,) = facts["gpus"]
    assert (facts["device"], gpu["name"], gpu["memory_bytes"], gpu["mig"]) == ("cuda", "A100 MIG 1g.5gb", 5 << 30, True)
    assert fingerprint.device_count(facts, "cuda") == 1
    assert facts["gpu_unused"] is None


@pytest.mark.parametrize(
    ("visible", "cuda", "said"),
    [
        (None, None, "torch 2.13 is a CPU build, and this machine has a GPU; install a CUDA build to use it"),
        ("0,0", "12.8", "CUDA_VISIBLE_DEVICES=0,0 hides all 3 of this machine's GPUs: 0 stands twice in it"),
        ("7", "12.8", "CUDA_VISIBLE_DEVICES=7 hides all 3 of this machine's GPUs: there is no '7'"),
        ("", "12.8", "CUDA_VISIBLE_DEVICES= hides all 3 of this machine's GPUs"),
        (None, "12.8", None),
    ],
)
def test_a_gpu_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, cuda: str | None, said: str | None
) -> None:
    fake(monkeypatch, Nvml(EQUAL), **({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}))
    monkeypatch.setattr(fingerprint, "torch_build", lambda: {"torch": "2.13", "torch_cuda": cuda, "torch_hip": None})
    facts = fingerprint.fingerprint()
    assert facts["gpu_unused"] == said
    assert facts["device"] == ("cpu" if said else "cuda")


def test_a_driver_that_does_not_answer_is_told_where_there_is_a_board(tmp_path: Path) -> None:
    mismatch = Nvml(EQUAL, init=pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)
    with visible_gpus(mismatch, {}, tmp_path) as seen:
        assert (seen.gpus, seen.hidden) == ((), None)
    for name, vendor, kind in (("a", "0x10de", "0x030200"), ("b", "0x10de", "0x040300"), ("c", "0x8086", "0x030000")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{kind}\n")
    with visible_gpus(mismatch, {}, tmp_path) as seen:
        assert seen.gpus == ()
        assert seen.hidden is not None
        assert seen.hidden.startswith("this machine has an NVIDIA GPU, and its driver does not answer (NVML: ")


@pytest.mark.parametrize(
    ("counts", "uuids", "others"),
    [
        ((1, 3, 0), (A, B), 2),
        ((1, 1, 5), (A,), 0),
        ((1, 0, 0), (A, B), 0),
        ((0, 0, 5), (A, B), None),
        ((9,), ("no",), None),
    ],
)
def test_others_on_the_boards_of_a_run(counts: tuple[int, ...], uuids: tuple[str, ...], others: int | None) -> None:
    nvml = Nvml(EQUAL)
    nvml.device_get_compute_running_processes = lambda handle: [None] * counts[nvml.uuids.index(handle)]  # type: ignore[method-assign]
    assert gpus.other_processes(uuids, nvml) == others
    assert gpus.other_processes(uuids, Nvml(EQUAL, fails=("nvmlDeviceGetComputeRunningProcesses",))) is None


def test_cuda_that_is_not_there_has_no_order() -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a GPU")
    assert gpus.cuda_uuids() == ()


def fake(monkeypatch: pytest.MonkeyPatch, nvml: Nvml, **environ: str) -> None:
    for name in dir(pynvml):
        if name.startswith("nvml"):
            monkeypatch.setattr(pynvml, name, getattr(nvml, name))
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setitem(os.environ, name, value)
