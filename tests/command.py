"""The command `bench` in a process of its own, as a user calls it: the one way in which tests start it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

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


def start(*arguments: object, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """The command as it runs, with both outputs in one pipe."""
    return subprocess.Popen(
        line(*arguments),
        cwd=cwd,
        env=ENVIRONMENT | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
