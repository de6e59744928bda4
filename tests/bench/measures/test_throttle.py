import sys
from types import SimpleNamespace

import pytest
import torch

from bench.measures.throttle import throttle_gauge
from bench.training.device import Device

POWER_LIMIT, HEAT = 0x04, 0x20


class NVMLError(Exception):
    pass


@pytest.fixture
def nvml(monkeypatch):
    """A GPU whose clock is what the test sets; asking for one that is None fails, as it does in NVML."""
    gpu = SimpleNamespace(default_mhz=1000, highest_mhz=2000, now_mhz=1000, reasons=0, asked_for=None)

    def ask(name):
        def question(handle, *_):
            if getattr(gpu, name) is None:
                raise NVMLError(f"{name} not supported")
            return getattr(gpu, name)

        return question

    def handle(uuid):
        gpu.asked_for = uuid

    fake = SimpleNamespace(
        NVMLError=NVMLError,
        NVML_CLOCK_SM=1,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=handle,
        nvmlDeviceGetDefaultApplicationsClock=ask("default_mhz"),
        nvmlDeviceGetMaxClockInfo=ask("highest_mhz"),
        nvmlDeviceGetClockInfo=ask("now_mhz"),
        nvmlDeviceGetCurrentClocksEventReasons=ask("reasons"),
        nvmlClocksEventReasonSwPowerCap=POWER_LIMIT,
        nvmlClocksEventReasonHwSlowdown=0x08,
        nvmlClocksEventReasonSwThermalSlowdown=HEAT,
        nvmlClocksEventReasonHwThermalSlowdown=0x40,
        nvmlClocksEventReasonHwPowerBrakeSlowdown=0x80,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="0-1-2"))
    return gpu


@pytest.fixture
def gauge(nvml):
    return throttle_gauge(SimpleNamespace(is_cuda=True, torch=torch.device("cuda")))


@pytest.mark.parametrize(("now_mhz", "throttled"), [(1000, False), (750, False), (749, True), (None, False)])
def test_below_three_quarters_of_the_default_clock(nvml, gauge, now_mhz, throttled):
    nvml.now_mhz = now_mhz
    assert gauge() is throttled
    assert nvml.asked_for == "GPU-0-1-2"


def test_the_highest_clock_stands_in_for_a_default_that_is_not_told(nvml):
    nvml.default_mhz = None
    gauge = throttle_gauge(SimpleNamespace(is_cuda=True, torch=torch.device("cuda")))
    nvml.now_mhz = 1499
    assert gauge() is True
    nvml.now_mhz = 1500
    assert gauge() is False


def test_a_newer_nvml_that_has_no_default_clock_is_asked_for_the_highest(nvml, monkeypatch):
    monkeypatch.delattr(sys.modules["pynvml"], "nvmlDeviceGetDefaultApplicationsClock")
    gauge = throttle_gauge(SimpleNamespace(is_cuda=True, torch=torch.device("cuda")))
    nvml.now_mhz = 1499
    assert gauge() is True


@pytest.mark.parametrize(
    ("reasons", "throttled"), [(0, True), (POWER_LIMIT, False), (POWER_LIMIT | HEAT, True), (HEAT, True), (None, True)]
)
def test_a_power_limit_keeps_from_the_highest_clock_and_throttles_nothing(nvml, reasons, throttled):
    nvml.default_mhz, nvml.now_mhz, nvml.reasons = None, 1300, reasons
    gauge = throttle_gauge(SimpleNamespace(is_cuda=True, torch=torch.device("cuda")))
    assert gauge() is throttled


def test_a_default_clock_should_be_kept_within_the_power_limit(nvml, gauge):
    nvml.now_mhz, nvml.reasons = 700, POWER_LIMIT
    assert gauge() is True


def test_a_gpu_that_tells_nothing_is_never_throttled(nvml):
    nvml.default_mhz = nvml.highest_mhz = None
    assert throttle_gauge(SimpleNamespace(is_cuda=True, torch=torch.device("cuda")))() is False


def test_a_cpu_is_never_throttled():
    assert throttle_gauge(Device("cpu"))() is False


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_real_gpu_answers():
    assert throttle_gauge(Device("cuda"))() in (True, False)
