"""The seconds of operators, of rows as torch's profiler has them."""

from __future__ import annotations

from types import SimpleNamespace

from torch._C._autograd import DeviceType

from bench.profiling.operators import own_seconds


def row(key: str, where: DeviceType, host_us: float, gpu_us: float) -> SimpleNamespace:
    return SimpleNamespace(key=key, device_type=where, self_cpu_time_total=host_us, self_device_time_total=gpu_us)


ROWS = [
    row("aten::cudnn_convolution", DeviceType.CPU, 30, 400),
    row("cudaLaunchKernel", DeviceType.CPU, 20, 0),
    row("sm90_xmma_fprop_implicit_gemm", DeviceType.CUDA, 0, 400),
    # What a profile says of a range of the host as the GPU has seen it.
    row("Optimizer.step#SGD.step", DeviceType.CUDA, 0, 900),
    row("Optimizer.step#SGD.step", DeviceType.CPU, 50, 0),
    row("Optimizer.step#SGD.step", DeviceType.CPU, 10, 0),
]


def test_a_kernels_seconds_count_once_for_the_operator_that_launched_it():
    found = own_seconds(ROWS, on_gpu=True)
    assert sum(found.values()) == 400e-6
    assert found["aten::cudnn_convolution"] == 400e-6


def test_on_a_cpu_the_seconds_are_the_hosts():
    assert own_seconds(ROWS[:1] + ROWS[4:], on_gpu=False) == {
        "aten::cudnn_convolution": 30e-6,
        "Optimizer.step#SGD.step": 50e-6 + 10e-6,
    }
