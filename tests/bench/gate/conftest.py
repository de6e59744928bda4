"""A repository of a small stand-in for the harness, in which a revision's speed is a line of code and costs no time."""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.execution.imports import ROOT as REAL_ROOT
from bench.gate import PROTOCOL
from bench.gate.agent_process import AGENT

ROOT = Path(REAL_ROOT)
# The few names that the agent needs; the stand-in has copies of it and of the module of reference kernels. A matrix
# file is JSON: a list of cells; step_s.py is the code whose speed is measured.
SOURCES = {
    "bench/__init__.py": "",
    "bench/models/__init__.py": "",
    "bench/pipelines/__init__.py": "",
    "bench/training/__init__.py": "",
    "bench/execution/__init__.py": "",
    "bench/host/__init__.py": "",
    "bench/profiling/__init__.py": "",
    "bench/spec/__init__.py": "",
    "bench/statistics/__init__.py": "",
    "bench/gate/__init__.py": f"PROTOCOL = {PROTOCOL}\n",
    "bench/gate/agent.py": (ROOT / AGENT).read_text(encoding="utf-8"),
    "bench/profiling/host_speed.py": (ROOT / "bench/profiling/host_speed.py").read_text(encoding="utf-8"),
    "bench/step_s.py": "STEP_S = 0.010\nACCURACY = 0.95\nBYTES = 100_000_000\n",
    "bench/spec/matrix.py": """
        import json
        from pathlib import Path
        from types import SimpleNamespace

        RECIPES = ("digits",)

        class UsageError(Exception):
            exit_code = 2

        def load(path):
            said = json.loads(Path(path).read_text())
            if said["recipe"] not in RECIPES:
                raise UsageError(f"{path}: unknown recipe {said['recipe']!r}")
            spec = SimpleNamespace(measure=said["measure"], recipe=said["recipe"], timeout_s=30.0,
                                   sampling=SimpleNamespace(bounds=lambda: None))
            return SimpleNamespace(spec=spec, cells=said["cells"])

        def expand(matrix, device, found):
            return [SimpleNamespace(values=cell, id="0" * 16, config={"cell": cell}, recipe=cell, skip=cell.get("skip"))
                    for cell in matrix.cells]
    """,
    "bench/spec/job.py": """
        from dataclasses import dataclass
        from typing import Any

        @dataclass(frozen=True)
        class Job:
            recipe: Any
            seed: int
            device: str
            data_dir: Any
            cache: Any
            log: Any
            origin_s: float
            measure: str
            sampling: Any
            nets: Any
    """,
    "bench/spec/kept_nets.py": "def needed(recipe, measure, cell):\n    return {}\n",
    "bench/execution/runner.py": """
        import os
        import random
        import sys
        from dataclasses import dataclass, field

        from bench.step_s import ACCURACY, BYTES, STEP_S

        NUMPY, DATA = os.environ.get("NUMPY", "1.26.4"), os.environ.get("DATA", "a" * 64)

        STARTS = os.environ.get("STARTS_FOLDER")  # where each start of either tree leaves its number

        def _number():
            for number in range(1000):
                try:
                    os.close(os.open(os.path.join(STARTS, str(number)), os.O_CREAT | os.O_EXCL))
                    return number
                except FileExistsError:
                    pass

        # What a start fixes for all its runs: a fourth of the starts has 6 % more memory and takes 6 % longer.
        NUMBER = _number() if STARTS and os.path.basename(sys.argv[0]) == "agent.py" else 0
        LEVEL = bool(STARTS) and (NUMBER == 1 or random.Random(NUMBER).random() < 0.25)

        class Refused(Exception):
            pass

        @dataclass
        class Measured:
            status: str = "ok"
            reason: str | None = None
            metrics: dict = field(default_factory=dict)
            facts: dict = field(default_factory=dict)

        def warm_up_fork_server():
            pass

        def execute(job, on_event, start_method, timeout_s):
            if job.recipe.get("dies"):
                os._exit(3)
            if STEP_S is None:
                return Measured("failed", "ValueError: no step")
            noise = random.Random(f"{job.seed} {STEP_S} {job.recipe}").gauss(1, job.recipe.get("noise", 0.01))
            step_s = STEP_S * job.recipe.get("size", 1) * noise * (1.06 if LEVEL else 1)
            accuracy = ACCURACY + random.Random(job.seed).uniform(-1, 1) * job.recipe.get("by_seed", 0)
            facts = {"versions": {"numpy": NUMPY}, "data": {"fingerprint": DATA}}
            return Measured(facts=facts, metrics={"step_min_s": step_s, "train_s": step_s, "accuracy": accuracy,
                                     "peak_host_bytes": int(BYTES * (1.06 if LEVEL else 1))})
    """,
    "bench/host/provenance.py": """
        import hashlib

        def code_identity(root):
            return {"commit": None, "dirty": None, "sources_sha256": sources_sha256(root)}

        def sources_sha256(root):
            return hashlib.sha256((root / "bench" / "step_s.py").read_bytes()).hexdigest()
    """,
    "bench/host/fingerprint.py": """
        def fingerprint():
            return {"id": "0123456789ab"}
    """,
    "bench/profiling/reference.py": """
        from types import SimpleNamespace

        def matrix_product(device):
            return SimpleNamespace(measure=lambda bounds: SimpleNamespace(samples=SimpleNamespace(median_s=0.01)))

        memory_copy = matrix_product

        def clock_hz(device):
            return None
    """,
    "bench/statistics/sampling.py": "def Bounds(**bounds):\n    return bounds\n",
    "bench/training/device.py": "def Device(kind):\n    return kind\n",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit of the stand-in, and the matrix `cells.json`."""
    root = tmp_path / "repository"
    for name, source in SOURCES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
    (root / "cells.json").write_text('{"recipe": "digits", "measure": "throughput", "cells": [{"size": 1}]}')
    git_in(root, "init", "--quiet", "--initial-branch=main")
    commit(root)
    return root


@pytest.fixture
def cheap_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """One start for all rounds, which are about something else."""
    for module in ("paired_comparison", "measurement"):
        monkeypatch.setattr(f"bench.gate.{module}.renew", lambda agents: None)


@pytest.fixture
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Starts differ from one another; each leaves a file here."""
    folder = tmp_path / "starts"
    folder.mkdir()
    monkeypatch.setenv("STARTS_FOLDER", str(folder))
    return folder


def git_in(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(root), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(root: Path) -> str:
    git_in(root, "add", ".")
    git_in(root, "commit", "--quiet", "--allow-empty", "--message", "A change")
    return git_in(root, "rev-parse", "HEAD")


@pytest.fixture
def change(repository: Path) -> Callable[..., Any]:
    """Rewrite the repository's code: its speed, accuracy and memory."""

    def rewrite(step_s: object = 0.010, accuracy: float = 0.95, num_bytes: int = 100_000_000) -> None:
        text = f"STEP_S = {step_s}\nACCURACY = {accuracy}\nBYTES = {num_bytes}\n"
        (repository / "bench" / "step_s.py").write_text(text)

    return rewrite
