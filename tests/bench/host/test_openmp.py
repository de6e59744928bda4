from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.host import openmp
from bench.runs.store import Store

TOOL = Path(__file__).parents[3] / "tools" / "openmp_waiting.py"


@pytest.mark.parametrize(
    ("users", "left"),
    [
        ({}, {"GOMP_SPINCOUNT": "1000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
        ({"OMP_NUM_THREADS": "2"}, {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "1000"}),
    ],
)
def test_what_the_user_sets_stays(monkeypatch: pytest.MonkeyPatch, users: dict[str, str], left: dict[str, str]) -> None:
    monkeypatch.setattr(openmp, "DEFAULTS", {"GOMP_SPINCOUNT": "1000"})
    environ = dict(users)
    openmp.settle(environ)
    assert environ == left
    assert openmp.in_force(environ) == {name: value for name, value in left.items() if name != "OMP_NUM_THREADS"}


def test_nothing_is_said_where_nothing_is_set() -> None:
    assert openmp.in_force({"OMP_NUM_THREADS": "2"}) is None


@pytest.mark.slow  # two runs of the command, each of which imports torch
def test_the_tool_that_measures_it_runs_as_it_is_documented(tmp_path: Path) -> None:
    command = [sys.executable, str(TOOL), "digits", "--results", str(tmp_path), "--rounds", "1", "--seconds", "0.2",
               "--busy", "1", "--only", "runtime's own", "--only", "GOMP_SPINCOUNT=1000",
               "--set", "model.width=4"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if "GOMP_SPINCOUNT=1000" in line]
    assert len(rows) == 1
    assert float(rows[0][2].replace(",", "")) > 0
    told = {path.parents[1].name: Store(path).read()[0] for path in tmp_path.glob("*/runs/runs.jsonl")}
    assert {name: run.config["resolved"]["openmp"] for name, run in told.items()} == {
        "runtime's-own-1-busy-0": None,
        "GOMP_SPINCOUNT=1000-1-busy-0": {"GOMP_SPINCOUNT": "1000"},
    }
