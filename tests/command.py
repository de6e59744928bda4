"""The command `bench` in a process of its own, as a user calls it: the one way in which tests start it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# One thread, because two of several processes at once wait for each other on a busy machine.
ENVIRONMENT = os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"}
TIMEOUT_S = 120


def line(*arguments: object, python: Sequence[str] = ()) -> list[str]:
    """What starts it; `python` are options of Python's own."""
    return [sys.executable, *python, "-m", "bench", *map(str, arguments)]


def bench(
    *arguments: object,
    cwd: Path,
    python: Sequence[str] = (),
    timeout_s: float = TIMEOUT_S,
    check: bool = False,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """The command at its end, with its exit code and both outputs."""
    return subprocess.run(
        line(*arguments, python=python),
        cwd=cwd,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=check,
    )


def start(*arguments: object, cwd: Path, stderr: int = subprocess.STDOUT, **environment: str) -> subprocess.Popen[str]:
    """The command as it runs, with both outputs in one pipe where `stderr` says nothing else."""
    return subprocess.Popen(
        line(*arguments),
        cwd=cwd,
        env=ENVIRONMENT | environment,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """All that it said until a line with the pattern."""
    said = ""
    assert process.stdout is not None
    for text in process.stdout:
        said += text
        if re.search(pattern, text):
            return said
    raise AssertionError(f"it never said {pattern}, but:\n{said}")


def records(folder: Path, results: str = "results") -> list[dict[str, Any]]:
    """What was recorded in the folder, as JSON."""
    path = folder / results / "runs" / "runs.jsonl"
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def statuses(folder: Path) -> list[str]:
    return [record["status"] for record in records(folder)]
