"""The gate against real changes of real sources, each in a branch of its own.

    BENCH_PLANTS=all pytest tests/bench/gate/test_plants.py

That takes up to five minutes each, and wants a machine that does nothing else; `BENCH_PLANTS=leak` takes those whose
names have the word. Without it, only whether the changes still fit the sources is tested.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench.gate.conftest import commit, git_in
from tests.bench.gate.plants import PLANTS, Plant

REPOSITORY = Path(__file__).resolve().parents[3]
WANTED = os.environ.get("BENCH_PLANTS", "")


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_each_plant_fits_the_sources_and_they_can_be_parsed(plant: Plant, tmp_path):
    file = tmp_path / plant.path
    file.parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / plant.path, file)
    plant.put_into(tmp_path)
    if file.suffix == ".py":
        compile(file.read_text(encoding="utf-8"), plant.path, "exec")


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("plants") / "repository"
    for package in ("bench", "models", "pipelines"):
        shutil.copytree(
            REPOSITORY / package, root / package, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    (root / ".gitignore").write_text("__pycache__/\n/results/\n")
    git_in(root, "init", "--quiet", "--initial-branch=main")
    commit(root)
    return root


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_the_gate_names_what_is_worse_and_lets_a_comment_pass(plant: Plant, copied, tmp_path, capsys):
    if WANTED != "all" and (not WANTED or WANTED not in plant.name):
        pytest.skip("BENCH_PLANTS=all measures this; it takes minutes, and a machine that does nothing else")
    git_in(copied, "checkout", "--quiet", "--force", "-B", plant.name.replace(" ", "-"), "main")
    plant.put_into(copied)
    commit(copied)
    command = [sys.executable, "-m", "bench", "regress", "--base", "HEAD~1", "-f", "json", "--out", "gate.json"]
    environment = os.environ | {"PYTHONPATH": str(copied)}
    began_s = time.monotonic()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    took_s = time.monotonic() - began_s
    assert done.returncode in (0, 1), done.stderr
    report = json.loads((tmp_path / "gate.json").read_text(encoding="utf-8"))
    with capsys.disabled():
        print(f"\n{plant.name}: exit code {done.returncode} after {took_s:.0f} s. {report['headline']}")
    named = {one["cell"] for one in report["findings"] if one["verdict"] == plant.word and one["regression"]}
    if plant.word is None:
        assert (done.returncode, named) == (0, set()), report["headline"]
    else:
        assert done.returncode == 1
        assert named & set(plant.cells), report["headline"]
