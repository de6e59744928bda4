"""Prepares a side of a user's repository for measuring: its own environment, and the `prepare` commands.

Two sides that install themselves into one environment would both run the last installed one. If there is something to
prepare, each side therefore has a virtual environment below its folder. It sees everything installed in the user's
environment, and `prepare` installs only into the side's own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.execution import imports

# Longer than any reasonable build.
TIMEOUT_S = 3600.0
LOG_TAIL_LINES = 15
# The folder within a side; git ignores its content.
FOLDER = ".bench-environment"
# Variables that name another repository than the side inside a git hook.
OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
# And one that would hide the side's environment.
NOT_THEIRS = ("PYTHONHOME", *OF_A_HOOK)
_DESCRIBE = """
import importlib.util, json, site, sys, sysconfig
paths = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *getattr(site, "getsitepackages", list)()]
if getattr(site, "ENABLE_USER_SITE", False):
    paths.append(site.getusersitepackages())
print(json.dumps([list(dict.fromkeys(paths)), importlib.util.find_spec("pip") is not None]))
"""
_PIP = '#!/bin/sh\nexec "{python}" -m pip "$@"\n'


class PreparationFailed(Exception):
    """`prepare` failed; the text names the command and the end of its log."""


@dataclass(frozen=True)
class Environment:
    """The variables for processes of a side, and its Python if it has one."""

    variables: Mapping[str, str]
    python: Path | None = None


def environment_of(root: Path) -> Environment:
    """The environment of a side with nothing to prepare: its modules come before installed ones."""
    return Environment({"PYTHONPATH": os.pathsep.join(_paths(root))})


def prepare(root: Path, commands: Sequence[str], log: Path, python: str | None = None) -> Environment:
    """Run the shell commands in a side's folder, in its own environment on top of that of `python`.

    The default is the `python` of the user's shell. Raises PreparationFailed.
    """
    if not commands:
        return environment_of(root)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    environment = _overlay(root, python or shutil.which("python") or shutil.which("python3") or sys.executable, log)
    for command in commands:
        _run(["/bin/sh", "-e", "-c", command], command, root, environment.variables, log)
    return environment


def _overlay(root: Path, python: str, log: Path) -> Environment:
    """A virtual environment that also sees the packages installed for `python`."""
    folder = root / FOLDER
    sites, has_pip = json.loads(_last_line(_run([python, "-c", _DESCRIBE], "describing Python", root, {}, log)))
    make = [python, "-m", "venv", *(["--without-pip"] if has_pip else []), str(folder)]
    _run(make, "making a virtual environment", root, {}, log)
    (folder / ".gitignore").write_text("*\n")
    binaries = folder / "bin"
    own = _run(
        [str(binaries / "python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        "describing the virtual environment",
        root,
        {},
        log,
    )
    # `addsitedir`, because packages in development mode are found by .pth files of their own.
    lines = [f"import site; site.addsitedir({site!r})\n" for site in sites]
    Path(_last_line(own), "_of_the_user.pth").write_text("".join(lines), encoding="utf-8")
    if has_pip:
        for name in ("pip", "pip3"):
            script = binaries / name
            script.write_text(_PIP.format(python=binaries / "python"))
            script.chmod(0o755)
    variables = {
        "PYTHONPATH": os.pathsep.join(_paths(root)),
        "VIRTUAL_ENV": str(folder),
        "PATH": os.pathsep.join([str(binaries), *filter(None, [os.environ.get("PATH")])]),
    }
    return Environment(variables, binaries / "python")


def _paths(root: Path) -> list[str]:
    """The module path: the side, its `src` if it has one, and the user's own path."""
    inside = [str(path) for path in (root, root / "src") if path.is_dir()]
    return [*inside, *filter(None, [os.environ.get("PYTHONPATH")])]


def _last_line(output: str) -> str:
    """What a program printed at its end; Python may warn at its start, as of a broken .pth file."""
    return output.strip().rpartition("\n")[2]


def _run(command: Sequence[str], told: str, folder: Path, variables: Mapping[str, str], log: Path) -> str:
    """The output of a command, which is also logged. Raises PreparationFailed; ends all its processes."""
    inherited = {name: value for name, value in imports.ENVIRONMENT.items() if name not in NOT_THEIRS}
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=inherited | dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise PreparationFailed(f"`{told}` cannot be run: {error.strerror}") from None
    try:
        output, _ = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise PreparationFailed(f"`{told}` was not done after {TIMEOUT_S:g} s; its log is {log}") from None
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    text = output.decode("utf-8", "replace")
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {told}\n{text}")
    if process.returncode:
        end = "\n  ".join(text.splitlines()[-LOG_TAIL_LINES:]) or "nothing"
        raise PreparationFailed(f"`{told}` ended with exit code {process.returncode}; it said last:\n  {end}")
    return text
