import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.gate.preparation import PreparationFailed, environment_of, prepare
from tests.processes import left_after


def run(environment, *command: str) -> str:
    variables = os.environ | dict(environment.variables)
    return subprocess.run(command, env=variables, check=True, capture_output=True, text=True, cwd="/").stdout.strip()


@pytest.fixture
def sides(tmp_path: Path) -> list[Path]:
    """Two versions of one package that is installed before it can be imported."""
    found = []
    for name in ("base", "head"):
        root = tmp_path / name
        (root / "lib" / "mine").mkdir(parents=True)
        (root / "lib" / "mine" / "__init__.py").write_text(f"NAME = {name!r}\n")
        found.append(root)
    return found


WRITE = "pathlib.Path(sysconfig.get_path('purelib'), 'mine.pth').write_text('$PWD/lib')"
INSTALL = f'python -c "import pathlib, sysconfig; {WRITE}"'


def test_each_side_runs_what_it_installed_and_still_sees_what_the_user_has(sides, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for root in sides:
        environment = prepare(root, [INSTALL, "touch built"], tmp_path / "log")
        told = run(environment, "python", "-c", "import mine, yaml; print(mine.NAME, yaml.__file__)")
        assert told.split()[0] == root.name
        assert not told.split()[1].startswith(str(root))
        assert (root / "built").exists()
        assert str(root) in run(environment, "pip", "--version") or str(root) in run(environment, "which", "pip")
    with pytest.raises(subprocess.CalledProcessError):
        run(environment_of(tmp_path), sys.executable, "-c", "import mine")


def test_with_nothing_to_prepare_a_side_has_its_own_modules_first(sides, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    (sides[0] / "src" / "json").mkdir(parents=True)
    (sides[0] / "src" / "json" / "__init__.py").write_text("NAME = 'mine'\n")
    environment = prepare(sides[0], [], sides[0] / "log")
    assert run(environment, sys.executable, "-c", "import json; print(json.NAME)") == "mine"
    assert environment.variables["PYTHONPATH"].endswith("/elsewhere")
    assert not (sides[0] / "log").exists()


def test_a_failure_is_one_message_with_the_end_of_the_log(sides, tmp_path):
    python = tmp_path / "python"  # one that warns at its start
    python.write_text(f'#!/bin/sh\necho "Error processing line 1 of broken.pth" >&2\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with pytest.raises(PreparationFailed, match=r"(?s)`echo .*exit code 3.*no compiler"):
        prepare(sides[0], ["echo no compiler; exit 3", "touch never"], tmp_path / "log", str(python))
    assert not (sides[0] / "never").exists()
    assert "no compiler" in (tmp_path / "log").read_text()


def test_what_prepare_leaves_running_is_ended(sides, tmp_path):
    prepare(sides[0], ["sleep 300 >/dev/null 2>&1 & echo $! > pid"], tmp_path / "log", sys.executable)
    pid = int((sides[0] / "pid").read_text())
    assert left_after(10, [pid]) == []
