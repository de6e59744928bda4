import time

import pytest
import torch

from bench.profiling.timer import DeviceTimer


class FakeEvent:
    """An event on a made-up device, whose clock is told."""

    now_ms = 0.0

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.at_ms = FakeEvent.now_ms

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, later: "FakeEvent") -> float:
        return later.at_ms - self.at_ms


def test_it_adds_up_what_the_device_says(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    timer, readings = DeviceTimer(is_cuda=True), []
    for now_ms in (5.0, 7.0, 10.0):
        FakeEvent.now_ms = now_ms
        readings.append(timer())
    assert readings == pytest.approx([0.0, 0.002, 0.005])


def test_without_a_gpu_it_is_the_hosts_clock():
    before = time.perf_counter()
    assert before <= DeviceTimer(is_cuda=False)() <= time.perf_counter()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_it_sees_queued_work():
    timer, matrix = DeviceTimer(), torch.randn(4096, 4096, device="cuda")
    matrix @ matrix

    def seconds(count: int) -> float:
        start = timer()
        for _ in range(count):
            matrix @ matrix
        return timer() - start

    assert seconds(50) > 5 * seconds(1)
