"""What is asked of a device, on the CPU."""

import mmap
import os

import numpy as np
import pytest

from bench.training.device import Device

BLOCK_BYTES = 256 << 20


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="this system resets no peak")
def test_another_run_in_this_process_has_a_peak_of_its_own():
    device = Device("cpu")
    with mmap.mmap(-1, BLOCK_BYTES) as block:  # which goes back to the kernel, whatever the allocator keeps
        np.frombuffer(block, np.uint8)[:] = 1
    before = device.peak_memory()["peak_host_bytes"]
    device.begin_peak_memory()
    after = device.peak_memory()["peak_host_bytes"]
    assert after <= before - BLOCK_BYTES // 2
    assert device.peak_memory()["peak_device_bytes"] is None
