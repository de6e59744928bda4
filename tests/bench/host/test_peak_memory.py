"""The peak of a process's memory, which is not that of the process that started it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.host import proc
from bench.host.peak_memory import peak_host_bytes

BLOCK_BYTES = 256 << 20
ASK = "from bench.host.peak_memory import peak_host_bytes; print(peak_host_bytes())"


@pytest.mark.skipif(
    proc.size_bytes("/proc/self", "status", b"VmHWM") is None, reason="this system does not say it of one process"
)
def test_a_process_that_a_large_one_starts_has_a_peak_of_its_own():
    held = b"x" * BLOCK_BYTES
    small = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True).stdout
    assert 0 < int(small) < BLOCK_BYTES // 2
    assert peak_host_bytes() >= len(held)


def test_a_system_that_says_nothing_of_one_process_has_getrusage(monkeypatch):
    monkeypatch.setattr(proc, "size_bytes", lambda *_: None)
    assert peak_host_bytes() > 1 << 20


def test_a_size_is_found_by_its_whole_key(tmp_path):
    (tmp_path / "smaps").write_text("Pss_Dirty:   3 kB\nPss:   12 kB\nRss: none\n")
    assert proc.size_bytes(tmp_path, "smaps", b"Pss") == 12 << 10
    assert proc.size_bytes(tmp_path, "smaps", b"Pss_Dirty") == 3 << 10
    assert [proc.size_bytes(tmp_path, "smaps", key) for key in (b"Rss", b"Swap")] == [None, None]
    assert proc.size_bytes(tmp_path, "nowhere", b"Pss") is None
