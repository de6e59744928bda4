"""The workers of a sweep that tests follow and kill."""

from __future__ import annotations

import os
import subprocess
import time

import psutil

from tests.command import TIMEOUT_S


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The children of the fork server that are at work: they have opened their logs."""
    workers = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            log = os.readlink(f"/proc/{child.pid}/fd/1")
            if log.endswith(".log") and child.ppid() != process.pid:
                workers.append(child)
        except (OSError, psutil.NoSuchProcess):
            continue
    return workers


def wait_for_workers(process: subprocess.Popen[str], count: int = 1) -> list[psutil.Process]:
    end_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end_s:
        if len(workers := workers_of(process)) >= count:
            return workers
        time.sleep(0.02)
    raise AssertionError(f"there never were {count} workers")


def worker_of(process: subprocess.Popen[str]) -> psutil.Process:
    return wait_for_workers(process)[0]
