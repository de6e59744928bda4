"""tools/gpu_day.sh with a stand-in for the machine: its steps, their limits, and what is left of them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.cli import lazy
from bench.spec import matrix, recipes

ROOT = Path(__file__).resolve().parent.parent
SHEETS = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
# Stands for Python: it notes what it was asked for, and hangs or fails where it is told to.
PYTHON = r"""#!/usr/bin/env bash
printf '%s\n' "$(printf '%q ' "$@")" >> "$CALLS"  # in one piece: some steps run side by side
case "$*" in
    *"$HANGS"*) exec sleep 60 ;;
    *gpu_sheets*.data_b*) mkdir -p "$WORK/data/cifar10" "$WORK/ref/cifar10"; touch "$WORK/data/cifar10/cifar10.npz" ;;
    *"$FAILS"*) exit 1 ;;
esac
echo "did $*${PYTHONDONTWRITEBYTECODE:+, without bytecode}"
"""


@pytest.fixture
def day(tmp_path):
    """Runs a part of the day with the stand-in; what it printed, and the commands that it gave to Python."""
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    calls = tmp_path / "calls"

    def run(part: str, limit_s: int = 600, status: int = 0, **environment: object) -> tuple[str, list[str]]:
        calls.write_text("")
        own = {"WORK": tmp_path / "work", "OUT": tmp_path / "out", "PYTHON": python, "CALLS": calls}
        own |= {"HANGS": "nothing does", "FAILS": "nothing does", "PYTHONDONTWRITEBYTECODE": 1} | environment
        told = subprocess.run(
            [ROOT / "tools" / "gpu_day.sh", part, str(limit_s)],
            env=os.environ | {name: str(value) for name, value in own.items()},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert (told.returncode, told.stderr) == (status, "")
        return told.stdout, calls.read_text().splitlines()

    return run


def endings(printed: str) -> dict[str, str]:
    """How each step ended, by its name."""
    return dict(re.findall(r"^== (\w+): (status \d+|left out|ended by its limit)", printed, re.M))


def test_both_parts_do_all_their_steps(day, tmp_path):
    first, calls = day("A", FAILS="cuda_graph=true")
    steps = ["packages", "environment", "tests", "sheets", "compile_fastest", "compile_record", "compile_graph"]
    steps += ["compile_speedrun94", "compile_hiverge"]
    assert endings(first) == dict.fromkeys([*steps, "ceilings", "found"], "status 0") | {"compile_graph": "status 1"}
    assert [call.count("random") for call in calls if call.startswith("-m bench run")] == [1, 1, 1, 1, 1]
    second, calls = day("B")
    assert len(endings(second)) == 13
    assert set(endings(second).values()) == {"status 0"}
    trained = [call for call in calls if call.startswith("-m bench run")]
    assert all(f"--data {tmp_path / 'work' / 'data'}" in call for call in trained)
    assert [re.search(r"--seeds (\d+)", call).group(1) for call in trained] == [
        "30",
        "12",
        "1",
        "15",
        "12",
        "1",
        "1",
        "8",
    ]
    assert ["--shared-process" in call for call in trained] == [True, True, False, True, True, False, False, True]
    assert "--keep-compiled" not in trained[2]
    with tarfile.open(tmp_path / "out" / "results_B.tgz") as kept:
        assert {"logs/A-tests.log", "logs/B-seeds.log", "logs/B-formats.log"} <= set(kept.getnames())
    assert (tmp_path / "out" / "log_A.txt").read_text() == first


def test_what_the_tests_of_part_a_disturbed_is_chosen_again(day, tmp_path):
    """Which form of a kernel is the fastest cannot be told on a busy card; all of them stay compiled."""
    programs = tmp_path / "work" / "cache" / "bench" / "compiled" / "ab"
    programs.mkdir(parents=True)
    for name in ("kernel.py", "chosen.best_config"):
        (programs / name).touch()
    day("A", STEPS="found")
    assert len(list(programs.iterdir())) == 2
    day("B", STEPS="found")
    assert [path.name for path in programs.iterdir()] == ["kernel.py"]


def test_no_timed_step_compiles_bench_itself(day, tmp_path):
    """Without the compiled sources that a user has, its start would take seconds longer."""
    day("B", STEPS="user")
    log = (tmp_path / "work" / "logs" / "B-user.log").read_text()
    assert "did -m bench run" in log
    assert "without bytecode" not in log


def test_every_command_is_one_that_bench_takes(day):
    """Stale options and recipes would cost the time on the machine."""
    commands = [shlex.split(call)[2:] for part in "AB" for call in day(part)[1] if call.startswith("-m bench ")]
    assert {command[0] for command in commands} == {"env", "run", "sweep", "profile", "leaderboard", "results"}
    for name, *arguments in commands:
        given = lazy.load(f"bench.cli.commands.{name}").make_context(name, list(arguments)).params
        if name in ("run", "profile"):
            recipes.load(given["recipe"], "cuda", given["settings"] or [])
        elif name == "sweep":
            matrix.expand(matrix.load(given["matrix"]), "cuda")


def test_a_step_that_hangs_is_ended_and_what_has_no_time_left_out(day, tmp_path):
    printed, calls = day("B", 18, HANGS="gpu_sheets", STEPS="sheets|seeds|formats|found")
    found = endings(printed)
    assert found.pop("sheets") == "ended by its limit"
    assert found.pop("found") == "status 0"
    assert found == dict.fromkeys(
        ("seeds", "seeds_tta_below", "seeds_speedrun94", "seeds_record", "seeds_graph", "formats"), "left out"
    )
    assert re.search(r"seeds: left out: \d+ s are left, and it needs 45", printed)
    assert not any("bench run" in call for call in calls)
    assert (tmp_path / "out" / "results_B.tgz").exists()


def test_without_its_packages_nothing_is_begun(day):
    """They are installed once more when those that lack have been brought."""
    printed, calls = day("A", status=1, FAILS="bench.cli.commands.run")
    assert endings(printed) == {"packages": "status 1"}
    assert [call.split()[0] for call in calls] == ["-c", "-m", "-c"]
    assert calls[1].startswith("-m pip install")
    assert "--upgrade" in calls[1]


def test_references_are_run_where_they_lie(day, tmp_path):
    scripts = [tmp_path / "ref" / name for name in ("airbench.py", "hiverge.py")]
    scripts[0].parent.mkdir()
    for script in scripts:
        script.touch()
    printed, calls = day("B", STEPS="sheets|reference", REFERENCES=tmp_path / "ref")
    assert [call.strip() for call in calls[1:]] == [str(script) for script in scripts]
    assert endings(printed)["reference_hiverge"] == "status 0"


def test_another_part_is_refused_with_what_there_is(day):
    told = subprocess.run([ROOT / "tools" / "gpu_day.sh"], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "tools/gpu_day.sh A [SECONDS]" in told.stdout


def test_sheets_of_two_loads_become_the_data_set(tmp_path):
    generator = np.random.default_rng(0)
    sheet = generator.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    labels = (np.arange(24) % 10).astype(np.uint8)
    for load, names in (("a", SHEETS[:3]), ("b", SHEETS[3:])):
        (tmp_path / load).mkdir()
        for name in names:
            Image.fromarray(sheet).save(tmp_path / load / f"{name}.webp", lossless=True)
    np.save(tmp_path / "b" / "labels.npy", labels)
    work = tmp_path / "work"

    def make(load: str) -> str:
        command = [sys.executable, ROOT / "tools" / "gpu_sheets.py", tmp_path / load, work]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "still missing: data_batch_4.npy, data_batch_5.npy, test_batch.npy, labels.npy" in make("a")
    assert "CIFAR-10 is complete" in make("b")
    with np.load(work / "data" / "cifar10" / "cifar10.npz") as data:
        assert {name: array.shape for name, array in data.items()} == {
            "train_x": (20, 3, 32, 32),
            "train_y": (20,),
            "test_x": (4, 3, 32, 32),
            "test_y": (4,),
        }
        # The second image of the first line.
        assert np.array_equal(data["train_x"][1], sheet[:32, 32:64].transpose(2, 0, 1))
        assert np.array_equal(data["test_y"], labels[20:])
    assert (work / "ref" / "cifar10" / "test.pt").exists()


@pytest.mark.slow  # processes that import torch
def test_the_real_command_on_a_cpu(day, tmp_path):
    """Training, results and ceilings as they are, on a network and data that are tiny."""
    recipe = (ROOT / "bench" / "recipes" / "digits.yaml").read_text().replace("epochs: 20", "epochs: 1")
    (tmp_path / "tiny.yaml").write_text(recipe.replace("target_accuracy: 0.96", "target_accuracy: 0.01"))
    (tmp_path / "work" / "data" / "cifar10").mkdir(parents=True)
    (tmp_path / "work" / "data" / "cifar10" / "cifar10.npz").touch()
    options = {"PYTHON": sys.executable, "DEVICE": "cpu", "FASTEST": tmp_path / "tiny.yaml", "SEEDS": 2}
    printed, _ = day("B", 300, STEPS="^seeds$|found", **options)
    assert endings(printed) == {"seeds": "status 0", "found": "status 0"}, printed
    assert "seed 1 (2 of 2): ok" in (tmp_path / "work" / "logs" / "B-seeds.log").read_text()
    assert re.search(r"tiny .*accuracy .* 2 ", printed), printed
    printed, _ = day("A", 100, STEPS="ceilings", **options)
    assert endings(printed) == {"ceilings": "status 0"}, printed
    assert "a whole step, not compiled" in printed
