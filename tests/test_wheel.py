"""The wheel: built, installed into an environment of its own, and used from an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import torch

from tests.command import ENVIRONMENT

ROOT = Path(__file__).resolve().parent.parent
# A build, an installation and a dozen processes of which each imports torch or pandas.
pytestmark = pytest.mark.slow
QUICK = ("--device", "cpu", "--set", "epochs=0.2", "--set", "target_accuracy=null")


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory) -> Path:
    """That of an environment with the wheel of these sources, and with the libraries of the present environment."""
    source, wheels = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    shutil.copytree(ROOT / "bench", source / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(wheels), str(source)]
    subprocess.run([*pip, *build], check=True, timeout=120)
    (wheel,) = wheels.iterdir()
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, symlinks=True)
    folders = sysconfig.get_paths(vars={"base": str(environment), "platbase": str(environment)})
    libraries = {Path(torch.__file__).parents[1], Path(pytest.__file__).parents[1]}
    (Path(folders["purelib"]) / "libraries.pth").write_text("\n".join(map(str, libraries)))
    install = ["--python", str(environment / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([*pip, *install], check=True, timeout=120)
    return environment / "bin"


@pytest.fixture(scope="module")
def call(bin_folder, tmp_path_factory):
    """A program of that environment, called in one empty folder; what it prints."""
    folder = tmp_path_factory.mktemp("empty")
    environment = {name: value for name, value in ENVIRONMENT.items() if name not in ("PYTHONPATH", "BENCH_DATA")}

    def call(program: str, *arguments: str) -> str:
        done = subprocess.run(
            [bin_folder / program, *arguments], cwd=folder, env=environment, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


def test_every_use_works_from_an_empty_folder(call, bin_folder):
    where = Path(call("python", "-c", "import bench.models, bench.recipes; print(bench.models.__file__)").strip())
    assert bin_folder.parent in where.parents
    assert call("bench", "--version").startswith("bench 0.")
    assert "speedrun94" in call("bench", "recipes")
    assert "Recorded in results/runs/runs.jsonl" in call("bench", "run", "digits", *QUICK)
    board = call("bench", "leaderboard", "--task", "cifar10/train", "--rule", "dawnbench")
    assert "cifar10/train to 94 %, by dawnbench" in board
    assert "1 to run" in call("bench", "sweep", "digits", "--limit", "1", "--device", "cpu")
    assert "2 runs and" in call("bench", "report")
    assert "42 claims" in call("bench", "claims", "--list")
    assert "Wrote" in call("bench", "init", "--ci", "both", "--", "python", "train.py")


def test_what_a_type_checker_needs_is_in_it(bin_folder):
    (marker,) = bin_folder.parent.glob("lib/*/site-packages/bench/py.typed")
    assert marker.is_file()
    assert not any((bin_folder.parent / "lib").glob("*/site-packages/models"))
    assert os.access(bin_folder / "bench", os.X_OK)
