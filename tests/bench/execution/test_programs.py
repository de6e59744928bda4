"""Compiled programs: kept in a private folder where that is asked for, and otherwise gone with the run."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import MissingError
from bench.execution import programs

COMPILE = """
import json
import torch
from torch._dynamo.utils import counters
from bench.execution import programs

with programs.cached(kept=True):
    torch.compile(lambda x: x.sin() + 1)(torch.ones(64))
    print(json.dumps({name: counters["inductor"][f"fxgraph_cache_{name}"] for name in ("hit", "miss")}))
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, "/elsewhere")


def folders() -> list[Path]:
    return [Path(os.environ[name]) for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")]


def test_fresh_programs_go_with_the_run():
    seen = []
    for _ in range(2):
        with programs.cached(kept=False):
            seen.append(folders())
            assert folders()[0].is_dir()
            assert folders()[1].parent == folders()[0]
        assert not folders()[0].exists()
    assert seen[0] != seen[1]


def test_kept_programs_lie_where_nobody_else_can_write(tmp_path):
    with programs.cached(kept=True):
        kept = folders()[0]
        (kept / "program").touch()
    assert kept.is_relative_to(tmp_path / "cache")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    with programs.cached(kept=True):
        assert (folders()[0] / "program").exists()


def test_a_folder_that_cannot_be_is_said(tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(MissingError, match=r"--keep-compiled: no folder to keep programs in.*set XDG_CACHE_HOME"):
        programs.kept_folder()


@pytest.mark.slow  # two processes that import torch's compiler and call another
@pytest.mark.usefixtures("cxx")
def test_another_process_finds_kept_programs():
    def hits() -> dict[str, int]:
        command = [sys.executable, "-c", COMPILE]
        return json.loads(subprocess.run(command, capture_output=True, timeout=250, check=True).stdout)

    assert hits() == {"hit": 0, "miss": 1}
    assert hits() == {"hit": 1, "miss": 0}
