"""Which Python a command runs in."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.execution.interpreter import Interpreter, interpreter_of


def program(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def folder(tmp_path):
    """A folder of programs, and around it those on PATH."""
    for name in (
        "bin/python3",
        "bin/python3.11t",
        "bin/pythonista",
        "bin/make",
        "bin/sh",
        "else/python",
        "in/own/python",
    ):
        program(tmp_path / name)
    program(tmp_path / "bin/torchrun", f"#!{tmp_path}/else/python\nimport torch\n")
    program(tmp_path / "bin/launch", "#!/usr/bin/env -S python3 -u\n")
    program(tmp_path / "bin/safe", f"#!{tmp_path}/else/python -sP\n")
    program(tmp_path / "in/own/launch", "#!/usr/bin/env A=1 python3\n")
    program(tmp_path / "bin/script", "#!/bin/sh\npython3 train.py\n")
    program(tmp_path / "bin/orphan", "#!/usr/bin/env python3.99\n")
    program(tmp_path / "bin/itself", "#!/usr/bin/env itself\n")
    (program(tmp_path / "bin/binary")).write_bytes(b"#!\xff\xfe\n")
    return tmp_path / "in"


def found_in(folder: Path, command: str) -> Interpreter | None:
    return interpreter_of(command.split(), folder, {"PATH": str(folder.parent / "bin")})


@pytest.mark.parametrize(
    ("command", "python", "options"),
    [
        ("python3 train.py -S", "bin/python3", ""),
        ("python3 -u -Es -m train -S", "bin/python3", "-Es"),
        ("python3 -uI train.py", "bin/python3", "-I"),
        ("python3 -X dev -I train.py", "bin/python3", "-I"),
        ("python3 -Xdev -W ignore -sE train.py", "bin/python3", "-sE"),
        ("python3 -Wignore -sm train -E", "bin/python3", "-s"),
        ("python3 -c pass -E", "bin/python3", ""),
        ("python3 - -E", "bin/python3", ""),
        ("python3 --version -E", "bin/python3", "-E"),
        ("python3.11t train.py", "bin/python3.11t", ""),
        ("own/python train.py", "in/own/python", ""),
        ("taskset -c 0,1 nice -n 5 python3 -I train.py", "bin/python3", "-I"),
        ("taskset 0x3 nohup python3 train.py", "bin/python3", ""),
        ("timeout 1.5h python3 train.py", "bin/python3", ""),
        ("torchrun --nproc-per-node 2 train.py", "else/python", ""),
        ("nice torchrun train.py", "else/python", ""),
        ("safe train.py -E", "else/python", "-sP"),
        ("launch train.py", "bin/python3", ""),
    ],
)
def test_the_python_of_a_command(folder, command, python, options):
    assert found_in(folder, command) == Interpreter(str(folder.parent / python), options)


def test_variables_that_env_sets_are_known(folder):
    python, elsewhere = (str(folder.parent / name) for name in ("bin/python3", "else/python"))
    set_by_env = found_in(folder, "env A=1 B= nice python3 train.py")
    assert set_by_env == Interpreter(python, variables=(("A", "1"), ("B", "")))
    assert found_in(folder, "own/launch train.py") == Interpreter(python, variables=(("A", "1"),))
    path = f"PATH={folder.parent / 'else'}"
    assert found_in(folder, f"env {path} python train.py").path == elsewhere


@pytest.mark.parametrize(
    "command",
    [
        "sh -c python3",
        "make train",
        "pythonista train.py",
        "none train.py",
        "env none",
        "env",
        "env -i python3 train.py",
        "env A=1 -u PATH python3",
        "nice",
        "nice sh run.sh /x/python",
        "nice -n 5 script --with python3",
        "stdbuf -o L python3",
        "binary",
        "script",
        "orphan",
        "itself",
    ],
)
def test_no_python_is_made_up_for_other_commands(folder, command):
    assert found_in(folder, command) is None
