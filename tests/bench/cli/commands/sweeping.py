"""`bench sweep` in processes of its own, as tests start, follow and kill it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

# One thread, because two of several processes at once wait for each other on a busy machine.
ENVIRONMENT = os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"}
TIMEOUT_S = 120


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "bench", "sweep", *map(str, arguments)]


def write(folder: Path, matrix: str) -> None:
    (folder / "mine.yaml").write_text(matrix)


def sweep(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments), cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if re.search(pattern, line):
            return said
    raise AssertionError(f"it never said {pattern}, but:\n{said}")


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


def records(folder: Path, results: str = "results") -> list[dict[str, Any]]:
    path = folder / results / "runs" / "runs.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def statuses(folder: Path) -> list[str]:
    return [record["status"] for record in records(folder)]
