"""Which Python a command runs in, and its packages, from real folders of installed packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.execution import interpreter
from bench.execution.interpreter import Interpreter, installed, interpreter_of, versions_of

THIS = Interpreter(sys.executable)
PYTHON_VERSION = ".".join(map(str, sys.version_info[:3]))


def install(folder: Path, name: str, version: str, direct_url: str | None = None) -> None:
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if direct_url is not None:
        (about / "direct_url.json").write_text(direct_url)


def program(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_packages_are_those_that_are_imported_in_the_folder(tmp_path):
    side, first, second = (tmp_path / name for name in ("side", "first", "second"))
    install(side, "mine", "1.0")  # which its sources tell
    install(first, "Other_Package", "2.0")
    install(first, "in_development", "0.1.dev3", '{"url": "file:///a", "dir_info": {"editable": true}}')
    install(second, "other_package", "1.0")
    install(second, "one-more", "3.0")
    path = {"PYTHONPATH": f"{side}:{first}:{second}"}
    found = installed(THIS, side, path)
    assert (found["other-package"], found["one-more"]) == ("2.0", "3.0")
    assert found["python"] == PYTHON_VERSION
    assert not {"mine", "in-development"} & found.keys()
    assert installed(THIS, side, path, ["other-package", "none"]) == {"python": PYTHON_VERSION, "other-package": "2.0"}


def test_a_python_that_cannot_say_knows_nothing(tmp_path):
    assert installed(Interpreter("/bin/false"), tmp_path, {}) == {}
    assert installed(Interpreter(str(tmp_path / "nothing")), tmp_path, {}) == {}


@pytest.mark.parametrize(
    ("command", "python", "options"),
    [
        ("python3 train.py -S", "bin/python3", ()),
        ("python3 -u -Es -m train -S", "bin/python3", ("-Es",)),
        ("python3.11t train.py", "bin/python3.11t", ()),
        ("own/python train.py", "folder/own/python", ()),
        ("env A=1 python3 train.py", "bin/python3", ()),
        ("taskset -c 0,1 nice -n 5 python3 -I train.py", "bin/python3", ("-I",)),
        ("torchrun --nproc-per-node 2 train.py", "elsewhere/python", ()),
        ("launch train.py", "bin/python3", ()),
        ("own/launch train.py", "bin/python3", ()),
    ],
)
def test_the_python_of_a_command(tmp_path, command, python, options):
    folder = tmp_path / "folder"
    for name in ("bin/python3", "bin/python3.11t", "bin/taskset", "elsewhere/python", "folder/own/python"):
        program(tmp_path / name)
    program(tmp_path / "bin/torchrun", f"#!{tmp_path}/elsewhere/python\nimport torch\n")
    program(tmp_path / "bin/launch", "#!/usr/bin/env -S python3 -u\n")
    program(folder / "own/launch", "#!/usr/bin/env python3\n")
    found = interpreter_of(command.split(), folder, {"PATH": str(tmp_path / "bin")})
    assert found == Interpreter(str(tmp_path / python), options)


@pytest.mark.parametrize(
    "command",
    ["sh -c python3", "make train", "pythonista train.py", "none train.py", "env none", "binary", "script", "orphan"],
)
def test_no_python_is_made_up_for_other_commands(tmp_path, command):
    for name in ("python3", "pythonista", "make"):
        program(tmp_path / name)
    program(tmp_path / "script", "#!/bin/sh\npython3 train.py\n")
    program(tmp_path / "orphan", "#!/usr/bin/env python3.99\n")
    (tmp_path / "binary").write_bytes(b"#!\xff\xfe\n")
    (tmp_path / "binary").chmod(0o755)
    assert interpreter_of(command.split(), tmp_path, {"PATH": str(tmp_path)}) is None
    assert versions_of(command.split(), tmp_path, {"PATH": str(tmp_path)}) == {}


def test_a_command_is_told_with_the_well_known_packages_of_its_own_environment(tmp_path):
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    (site,) = environment.glob("lib/*/site-packages")
    install(site, "jax", "0.9")
    install(site, "of_a_secret_project", "1.0")
    env = {"PATH": str(python.parent)}
    assert versions_of(["python", "train.py"], tmp_path, env) == {"python": PYTHON_VERSION, "jax": "0.9"}
    assert versions_of(["python", "-S", "train.py"], tmp_path, env) == {"python": PYTHON_VERSION}
    assert "jax" not in versions_of([sys.executable, "train.py"], tmp_path, dict(os.environ))


def test_a_python_is_asked_once(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(interpreter, "installed", lambda *question: asked.append(question) or {"torch": "1"})
    for seed in ("0", "1"):
        assert versions_of([sys.executable, "train.py", seed], tmp_path, {"BENCH_SEED": seed}) == {"torch": "1"}
    assert len(asked) == 1
    versions_of([sys.executable, "train.py"], tmp_path, {"PYTHONPATH": "elsewhere"})
    assert len(asked) == 2
