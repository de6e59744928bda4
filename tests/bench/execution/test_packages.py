"""The packages of a Python, from real folders of installed packages."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.execution import packages
from bench.execution.interpreter import Interpreter
from bench.execution.packages import CommandVersions, Question, installed

THIS = Interpreter(sys.executable)
PYTHON_VERSION = ".".join(map(str, sys.version_info[:3]))


def install(folder: Path, name: str, version: str, direct_url: str | None = None) -> None:
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if direct_url is not None:
        (about / "direct_url.json").write_text(direct_url)


def versions_of(argv, folder, env):
    asked = CommandVersions(argv, folder, env)
    while not asked.are_known(hurry=False):
        time.sleep(0.01)
    return asked.versions()


@pytest.fixture(autouse=True)
def _unknown(monkeypatch):
    monkeypatch.setattr(CommandVersions, "_known", {})


@pytest.fixture
def python(tmp_path):
    """The Python of an environment with two packages."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (site,) = environment.glob("lib/*/site-packages")
    install(site, "jax", "0.9")
    install(site, "of_a_secret_project", "1.0")
    return environment / "bin" / "python"


def test_the_packages_are_those_that_are_imported_in_the_folder(tmp_path):
    side, first, second = (tmp_path / name for name in ("side", "first", "second"))
    install(side, "mine", "1.0")  # which its sources tell
    install(first, "Other_Package", "2.0")
    install(first, "in_development", "0.1.dev3", '{"url": "file:///a", "dir_info": {"editable": true}}')
    install(second, "other_package", "1.0")
    install(second, "one-more", "3.0")
    found = installed(THIS, side, {"PYTHONPATH": f"{side}:{first}:{second}"})
    assert (found["other-package"], found["one-more"]) == ("2.0", "3.0")
    assert found["python"] == PYTHON_VERSION
    assert not {"mine", "in-development"} & found.keys()


def test_a_framework_built_from_source_is_told(tmp_path):
    install(tmp_path, "torch", "9.9.0a0+git1", '{"url": "file:///torch", "dir_info": {}}')
    assert versions_of([sys.executable, "t.py"], tmp_path, {"PYTHONPATH": str(tmp_path)})["torch"] == "9.9.0a0+git1"


def test_a_damaged_package_is_passed_over(tmp_path):
    install(tmp_path / "site", "jax", "0.9")
    (tmp_path / "site" / "torch-2.1.dist-info").mkdir()
    about = tmp_path / "site" / "keras-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: keras\n")
    (about / "direct_url.json").write_text("{")
    found = installed(THIS, tmp_path, {"PYTHONPATH": str(tmp_path / "site")})
    assert found["jax"] == "0.9"
    assert not {"none", "keras"} & found.keys()


@pytest.mark.parametrize(
    "says",
    ["", "exit 1", "echo 3", *(f"echo '{packages.MARK}{told}'" for told in ("3", "[1]", '{"torch": null}', "{"))],
)
def test_a_python_that_cannot_say_knows_nothing(tmp_path, says):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)
    assert installed(Interpreter(str(program)), tmp_path, {}) == {}
    assert installed(Interpreter(str(tmp_path / "nothing")), tmp_path, {}) == {}


def test_a_python_that_does_not_answer_is_given_up(tmp_path, monkeypatch):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setattr(packages, "TIMEOUT_S", 0.1)
    assert installed(Interpreter(str(program)), tmp_path, {}) == {}
    monkeypatch.setattr(packages, "TIMEOUT_S", 1000.0)
    asked = Question(Interpreter(str(program)), tmp_path, dict(os.environ))
    assert not asked.is_answered()
    assert asked.is_answered(hurry=True)
    assert asked.versions() == {}


def test_nothing_of_the_folder_is_run_or_written(tmp_path):
    for module in ("csv", "random", "json", "os", "sitecustomize"):
        (tmp_path / f"{module}.py").write_text("open('it_ran', 'w')\n")
    before = sorted(tmp_path.rglob("*"))
    assert installed(THIS, tmp_path, {})["python"] == PYTHON_VERSION
    assert sorted(tmp_path.rglob("*")) == before


def test_what_a_python_prints_at_its_start_and_its_end_is_no_answer(tmp_path):
    at_exit = """import atexit; atexit.register(print, '{"torch": "9"}')"""
    (tmp_path / "sitecustomize.py").write_text(f"{at_exit}; print('hello ' * 100_000, end='')\n")
    assert installed(THIS, tmp_path, {"PYTHONPATH": str(tmp_path)})["python"] == PYTHON_VERSION


def test_a_command_is_told_with_the_recorded_packages_of_its_own_environment(tmp_path, python):
    env = {"PATH": str(python.parent)}
    assert versions_of(["python", "train.py"], tmp_path, env) == {"python": PYTHON_VERSION, "jax": "0.9"}
    assert versions_of(["python", "-S", "train.py"], tmp_path, env) == {"python": PYTHON_VERSION}
    assert "jax" not in versions_of([sys.executable, "train.py"], tmp_path, dict(os.environ))
    assert versions_of(["sh", "train.sh"], tmp_path, env) == {}


def test_variables_of_the_command_decide(tmp_path, python):
    install(tmp_path / "more", "flax", "0.8")
    path = f"PYTHONPATH={tmp_path / 'more'}"
    assert versions_of(["env", path, str(python), "train.py"], tmp_path, {"PATH": "/usr/bin:/bin"})["flax"] == "0.8"
    assert "flax" not in versions_of([str(python), "train.py"], tmp_path, {"PATH": "/usr/bin:/bin"})


def test_a_python_is_asked_once_for_the_seeds_of_a_command(tmp_path, monkeypatch):
    asked = []
    own = packages.Question
    monkeypatch.setattr(packages, "Question", lambda *words: asked.append(words) or own(*words))
    env = {"PATH": "/usr/bin:/bin"}
    told = [versions_of([sys.executable, "train.py", seed], tmp_path, {**env, "BENCH_SEED": seed}) for seed in "01"]
    assert told[0] == told[1] != {}
    assert len(asked) == 1
    versions_of([sys.executable, "train.py"], tmp_path, {**env, "PYENV_VERSION": "3"})
    assert len(asked) == 2
