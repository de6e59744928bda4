"""Processes with a fake GPU: its library, built once, and trainings on it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from bench.host.native import COMPILERS

SOURCE = Path(__file__).with_name("guard.cpp")
ROOT = SOURCE.parents[2]
TORCH = Path(torch.__file__).parent
FLAGS = ("-O0", "-w", "-std=c++17", "-shared", "-fPIC")


# In place of what cuDNN alone computes, which the fake GPU has not: a GRU. With more streams its text has fewer steps.
FEW = ["data.streams=256", "batch_size=256", "evaluation.batch_size=256"]
WITHOUT_CUDNN = {"counting": ["model=counting_rnn:m3", *FEW]}


class NoFakeGpu(Exception):
    """Why there cannot be one here."""


def guard() -> Path:
    """The built library, kept for later processes in a private folder. Raises `NoFakeGpu`."""
    if torch.version.cuda or torch.version.hip:
        raise NoFakeGpu("this torch is made for a GPU; the fake one is for a torch made for the CPU")
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise NoFakeGpu(f"no C++ compiler: {', '.join(COMPILERS)} not found")
    folder = Path(tempfile.gettempdir()) / f"bench-fake-cuda-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    made_of = (SOURCE.read_bytes(), torch.__version__, str(TORCH), compiler, FLAGS)
    library = folder / f"{hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]}.so"
    with FileLock(folder / ".lock"):
        if not library.exists():
            draft = library.with_suffix(".draft")
            torch_library = f"-L{TORCH / 'lib'}", "-lc10", "-ltorch_cpu", f"-Wl,-rpath,{TORCH / 'lib'}"
            command = [compiler, *FLAGS, f"-I{TORCH / 'include'}", str(SOURCE), "-o", str(draft), *torch_library]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise NoFakeGpu(f"{SOURCE.name} cannot be compiled: {done.stderr[:500]}")
            draft.rename(library)
    return library


def train_on_fake_gpu(jobs: Sequence[Mapping[str, Any]], timeout_s: float = 900) -> list[dict[str, Any]]:
    """What `drive.train` says of each job, all in one process. Raises `NoFakeGpu`, and AssertionError if it fails."""
    command = [sys.executable, "-m", "tests.fake_cuda.drive", str(guard()), *map(json.dumps, jobs)]
    # By name: Python may have been told not to look for modules in the current folder.
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    # torch lists every backend that lacks a kernel, a line each.
    errors = [line for line in done.stderr.splitlines() if "registered at" not in line]
    assert done.returncode == 0, "\n".join(errors[-40:])
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
