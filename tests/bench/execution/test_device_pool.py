import os
import subprocess
import sys
from types import SimpleNamespace

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.execution import device_pool
from bench.execution.device_pool import Allotment, Gpus, allot, find_gpus, usable_cores
from bench.host.share import Share

GPUS = ("GPU-a", "GPU-b", "GPU-c", "GPU-d")


@given(st.integers(1, 4), st.lists(st.one_of(st.integers(1, 4), st.just("end")), max_size=40))
def test_no_gpu_is_ever_had_by_two_and_none_is_lost(jobs, script):
    allotment, held = Allotment(jobs, GPUS), []
    for step in script:
        if step == "end":
            if held:
                allotment.give_back(held.pop(0))
        elif (share := allotment.take(step)) is not None:
            assert len(share.gpus) == step
            held.append(share)
        had = [gpu for share in held for gpu in share.gpus]
        assert len(set(had)) == len(had)
        assert len(held) <= jobs
    while held:
        allotment.give_back(held.pop())
    assert sorted(allotment.take(4).gpus) == sorted(GPUS)


def test_one_that_needs_more_than_is_free_waits():
    allotment = Allotment(4, GPUS)
    first = allotment.take(3)
    assert allotment.take(2) is None
    allotment.give_back(first)
    assert allotment.take(2).gpus == first.gpus[:2]


def test_more_gpus_than_there_are_never_come():
    with pytest.raises(ValueError, match="5 GPUs were asked for, of 4"):
        Allotment(1, GPUS).take(5)


@given(st.integers(1, 8), st.integers(1, 64))
def test_the_cores_are_divided_evenly_and_no_core_twice(jobs, count):
    if jobs > count:
        with pytest.raises(UsageError, match=f"--jobs {jobs}: there are {count} usable cores"):
            Allotment(jobs, cores=range(count))
        return
    allotment = Allotment(jobs, cores=range(count))
    shares = [allotment.take(1) for _ in range(jobs)]
    assert allotment.take(1) is None
    assert {share.neighbours for share in shares} == {jobs - 1}
    if jobs == 1:
        assert shares == [Share()]
        return
    cores = [core for share in shares for core in share.cores]
    assert len(cores) == len(set(cores)) == jobs * (count // jobs)


def test_the_hardware_threads_of_a_core_go_to_one_job(monkeypatch):
    # As Linux numbers four cores of two threads each.
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None, raising=False)
    monkeypatch.setattr(device_pool, "core_of", lambda cpu: (0, cpu % 4))
    shares = allot(2, "cpu", Gpus())
    assert [shares.take(1).cores for _ in range(2)] == [(0, 4, 1, 5), (2, 6, 3, 7)]
    monkeypatch.setattr(device_pool, "core_of", lambda cpu: None)
    assert usable_cores() == list(range(8))


def test_auto_is_a_job_for_each_free_gpu_and_one_on_a_cpu():
    assert allot(None, "cuda", Gpus(GPUS[:3], (("GPU-d", "GPU 3 (process 7)"),))).jobs == 3
    assert allot(None, "cpu", Gpus()).jobs == 1
    with pytest.raises(UsageError, match="--jobs 3: there are 2 free GPUs"):
        allot(3, "cuda", Gpus(GPUS[:2]))


def test_busy_gpus_are_left_alone_unless_there_is_no_other():
    some = Gpus(("GPU-b",), (("GPU-a", "GPU 0 (process 7)"),))
    assert (some.usable, some.note) == (("GPU-b",), "left alone, because others compute on them: GPU 0 (process 7)")
    none = Gpus((), (("GPU-a", "GPU 0 (process 7)"),))
    assert none.usable == ("GPU-a",)
    assert "others compute on every GPU" in none.note
    assert Gpus(GPUS).note is None


def test_nvml_tells_which_gpus_are_busy_among_the_visible(monkeypatch):
    pids = {0: [7, 5], 1: [], 2: [], 3: []}
    for name, answer in {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 4,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetUUID": lambda index: GPUS[index],
        "nvmlDeviceGetComputeRunningProcesses": lambda index: [SimpleNamespace(pid=pid) for pid in pids[index]],
    }.items():
        monkeypatch.setattr(pynvml, name, answer)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert find_gpus() == Gpus(GPUS[1:], (("GPU-a", "GPU 0 (process 5, 7)"),))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    assert find_gpus() == Gpus(("GPU-c",), (("GPU-a", "GPU 0 (process 5, 7)"),))


KEEP = """
import os, torch
from bench.execution.device_pool import Share
core = min(os.sched_getaffinity(0))
Share(("GPU-a", "GPU-b"), (core,), 1).keep_to()
print(os.environ["CUDA_VISIBLE_DEVICES"], os.sched_getaffinity(0) == {core}, torch.get_num_threads())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to cores")
def test_a_process_keeps_to_its_share():
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    said = subprocess.run(
        [sys.executable, "-c", KEEP], capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    assert said.stdout.split() == ["GPU-a,GPU-b", "True", "1"]
