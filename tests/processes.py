"""Processes that a test has not started itself, and their end."""

from __future__ import annotations

import time
from collections.abc import Sequence

import psutil


def left_after(timeout_s: float, processes: Sequence[psutil.Process | int]) -> list[psutil.Process | int]:
    """Those of the processes, or process ids, that still run after so many seconds; none as soon as all have ended."""
    end_s = time.monotonic() + timeout_s
    while (left := [one for one in processes if _is_running(one)]) and time.monotonic() < end_s:
        time.sleep(0.01)
    return left


def _is_running(one: psutil.Process | int) -> bool:
    """Whether it has not ended. One that has lost its parent stays as a zombie until process 1 takes it away, in some
    containers seconds later."""
    try:
        process = psutil.Process(one) if isinstance(one, int) else one
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
