"""The Python in which a command runs, and the packages that it has there."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bench.execution import imports
from bench.host.provenance import DISTRIBUTIONS

# What a script may be made of besides. Others are left out: a record goes round, and they may be nobody's business.
FRAMEWORKS = frozenset(DISTRIBUTIONS) | {
    "accelerate", "albumentations", "apex", "cupy", "datasets", "deepspeed", "flash-attn", "flax", "jax", "jaxlib",
    "keras", "lightgbm", "lightning", "nvidia-cublas-cu12", "nvidia-cublas", "nvidia-dali-cuda120", "nvidia-nccl-cu12",
    "nvidia-nccl-cu13", "opencv-python", "opencv-python-headless", "optax", "pytorch-lightning", "scipy", "tensorflow",
    "timm", "tinygrad", "torch-xla", "torchao", "transformer-engine", "transformers", "webdataset", "xgboost",
}  # fmt: skip
# Programs that start another in their place, in the same environment.
WRAPPERS = ("chrt", "env", "ionice", "nice", "nohup", "numactl", "setsid", "stdbuf", "taskset", "time")
TIMEOUT_S = 60.0
# What decides which packages a Python imports.
DECIDING = (
    "HOME", "PATH", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONPATH", "PYTHONSAFEPATH", "PYTHONUSERBASE", "VIRTUAL_ENV",
)  # fmt: skip
SHEBANG_BYTES = 512
# Options of Python that decide it too, each a letter.
DECIDING_OPTIONS = frozenset("EIPsS")
# In the order of the module path, so that of two versions the first one is imported. The folder's own code is known by
# its sources, and what is installed of it in development mode has no version that says more.
_DESCRIBE = """
import importlib.metadata, json, os, sys
own = [os.path.realpath(path) for path in (".", "src")]
found = {"python": "{}.{}.{}".format(*sys.version_info[:3])}
for asked in [{"name": name} for name in sys.argv[1:]] or [{}]:
    for one in importlib.metadata.distributions(**asked):
        in_development = "dir_info" in json.loads(one.read_text("direct_url.json") or "{}")
        if not in_development and os.path.realpath(str(one.locate_file(""))) not in own:
            found.setdefault(str(one.metadata["Name"]).lower().replace("_", "-"), one.version)
print(json.dumps(found))
"""


class Interpreter(NamedTuple):
    """A Python, and those of its options that decide what it imports."""

    path: str
    options: tuple[str, ...] = ()


def installed(
    python: Interpreter, folder: Path, variables: Mapping[str, str], names: Collection[str] = ()
) -> dict[str, str]:
    """The versions of Python and of the packages that it imports in a folder; empty if it cannot say.

    `variables` are set over those of the user. Without `names` it is all packages.
    """
    try:
        told = subprocess.run(
            [python.path, *python.options, "-c", _DESCRIBE, *sorted(names)],
            cwd=folder,
            env=imports.ENVIRONMENT | dict(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        found: dict[str, str] = json.loads(told.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return {}
    return found


def versions_of(argv: Sequence[str], folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """The versions of Python and of well-known packages with which a command in this folder and environment runs.

    Empty if its Python is not known. The same Python is asked once in the same folder and environment.
    """
    python = interpreter_of(argv, folder, env)
    if python is None:
        return {}
    return dict(_well_known(python, folder, tuple((name, env[name]) for name in DECIDING if name in env)))


def interpreter_of(argv: Sequence[str], folder: Path, env: Mapping[str, str]) -> Interpreter | None:
    """The Python that runs this command: its program, or the one that its program's `#!` line names.

    None for every other program, such as a shell, which may run any.
    """
    words = list(argv)
    if Path(words[0]).name in WRAPPERS:
        # From the first word that is a Python: what stands before it is the wrapper's affair.
        words = words[next((at for at, word in enumerate(words) if _is_python(word)), len(words)) :]
    if not words:
        return None
    program = words[0] if os.sep in words[0] else shutil.which(words[0], path=env.get("PATH", os.defpath))
    if program is None:
        return None
    if _is_python(program):
        options = itertools.takewhile(lambda word: word.startswith("-"), words[1:])
        return Interpreter(str(folder / program), tuple(word for word in options if {*word[1:]} <= DECIDING_OPTIONS))
    return _of_shebang(folder / program, env)


def _is_python(program: str) -> bool:
    return Path(program).name.rstrip("0123456789.t") in ("python", "pypy")


def _of_shebang(program: Path, env: Mapping[str, str]) -> Interpreter | None:
    try:
        with program.open("rb") as file:
            line = file.readline(SHEBANG_BYTES).decode()
    except (OSError, UnicodeDecodeError):
        return None
    named = line[2:].split() if line.startswith("#!") else []
    if named and Path(named[0]).name == "env":
        named = [word for word in named[1:] if not word.startswith("-") and "=" not in word]
    if not named or not _is_python(named[0]):
        return None
    python = named[0] if os.sep in named[0] else shutil.which(named[0], path=env.get("PATH", os.defpath))
    return None if python is None else Interpreter(python)


@cache
def _well_known(python: Interpreter, folder: Path, variables: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return installed(python, folder, dict(variables), FRAMEWORKS)
