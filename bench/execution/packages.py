"""The versions of the packages that a Python imports, told by itself."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from bench.execution import imports
from bench.execution.interpreter import Interpreter, interpreter_of
from bench.host.provenance import DISTRIBUTIONS

# The packages that a script's record names. Other names may be private, and records are shared.
RECORDED = frozenset(DISTRIBUTIONS) | {
    "accelerate", "albumentations", "apex", "cupy", "datasets", "deepspeed", "flash-attn", "flax", "jax", "jaxlib",
    "keras", "lightgbm", "lightning", "nvidia-cublas-cu12", "nvidia-cublas", "nvidia-dali-cuda120", "nvidia-nccl-cu12",
    "nvidia-nccl-cu13", "opencv-python", "opencv-python-headless", "optax", "pytorch-lightning", "scipy", "tensorflow",
    "timm", "tinygrad", "torch-xla", "torchao", "transformer-engine", "transformers", "webdataset", "xgboost",
}  # fmt: skip
TIMEOUT_S = 20.0
LOOK_S = 0.01
# Variables that differ from run to run and change no import.
OF_A_RUN = ("BENCH_SEED", "BENCH_EVENTS")
# No module of the folder itself is imported. Packages are found in the order of the module path; of two versions the
# first one is told, because it is imported. The folder's own code is known by its sources, so a version installed in
# development mode is told only if it is asked for by name. The answer is a marked line, because Python may print other
# lines at its start and at its end.
MARK = "bench-packages "
_DESCRIBE = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
import json, os
try:
    from importlib.metadata import distributions
except ImportError:  # before Python 3.8
    distributions = lambda **_: []
own = [os.path.realpath(path) for path in (".", "src")]
found = {"python": "{}.{}.{}".format(*sys.version_info[:3])}
for asked in [{"name": name} for name in sys.argv[1:]] or [{}]:
    for one in distributions(**asked):
        try:
            in_development = "dir_info" in json.loads(one.read_text("direct_url.json") or "{}")
            name, version = one.metadata["Name"], one.version
        except Exception:  # a damaged one
            continue
        is_own = not asked and (in_development or os.path.realpath(str(one.locate_file(""))) in own)
        if name and version and not is_own:
            found.setdefault(str(name).lower().replace("_", "-"), str(version))
print("\\nMARK" + json.dumps(found))
""".replace("MARK", MARK)


class Question:
    """A Python that has been asked for its version and those of the packages that it imports, and goes on to answer."""

    def __init__(self, python: Interpreter, folder: Path, env: Mapping[str, str], names: Collection[str] = ()) -> None:
        """`env` is its whole environment. Without `names` it is all packages."""
        self._answer = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe could be held open by what it starts
        self._given_up_s = time.monotonic() + TIMEOUT_S
        self._child: subprocess.Popen[bytes] | None = None
        with suppress(OSError, ValueError):
            self._child = subprocess.Popen(
                [*python.argv, "-c", _DESCRIBE, *sorted(names)],
                cwd=folder,
                env={**env, **dict(python.variables), "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=self._answer,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def is_answered(self, hurry: bool = False) -> bool:
        """Whether there will be no other `versions`; with `hurry` it is given up."""
        if self._child is None or self._child.poll() is not None:
            return True
        if hurry or time.monotonic() >= self._given_up_s:
            self._child.kill()
            self._child.wait()
            return True
        return False

    def versions(self) -> dict[str, str]:
        """What it told, once it `is_answered`; empty if it could not say."""
        if self._child is None or self._child.returncode:
            return {}
        self._answer.seek(0)
        lines = self._answer.read().decode(errors="replace").splitlines()
        try:
            found = json.loads(next(line for line in reversed(lines) if line.startswith(MARK)).removeprefix(MARK))
        except (StopIteration, ValueError):
            return {}
        told = isinstance(found, dict) and all(isinstance(version, str) for version in found.values())
        return found if told else {}


def installed(python: Interpreter, folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The versions of Python and of all packages that it imports in a folder; empty if it cannot say.

    `variables` are set over those of the user.
    """
    question = Question(python, folder, imports.ENVIRONMENT | dict(variables))
    while not question.is_answered():
        time.sleep(LOOK_S)
    return question.versions()


class CommandVersions:
    """The versions of Python and of the RECORDED packages with which a command ran; none if its Python is not known.

    It asks when it is made. Make it after the command has run: an earlier question would warm the command's cold start.
    Each Python is asked once for the same folder and environment.
    """

    _known: ClassVar[dict[object, dict[str, str]]] = {}

    def __init__(self, argv: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        python = interpreter_of(argv, folder, env)
        self._key = python, folder, frozenset((name, value) for name, value in env.items() if name not in OF_A_RUN)
        self._question = None
        if python is not None and self._key not in self._known:
            self._question = Question(python, folder, env, RECORDED)

    def are_known(self, hurry: bool) -> bool:
        """Whether the answer is there; with `hurry` it is not waited for."""
        return self._question is None or self._question.is_answered(hurry)

    def versions(self) -> dict[str, str]:
        if self._question is not None:
            self._known[self._key] = self._question.versions()
            self._question = None
        return self._known.get(self._key, {})
