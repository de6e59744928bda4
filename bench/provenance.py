"""Which code made a number: the commit, whether it was changed, and a hash of the sources that ran."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("bench", "models", "pipelines")
SOURCES = (".py", ".yaml", ".cpp")
# What can change a result or a time; what is not installed is left out.
DISTRIBUTIONS = (
    "torch", "torchvision", "triton", "numpy", "ffcv", "numba", "pillow", "scikit-learn", "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13", "nvidia-ml-py", "pandas", "pyarrow",
)  # fmt: skip
GIT_TIMEOUT_S = 10


def code_identity(root: Path | None = None) -> dict[str, Any]:
    """`{commit, dirty, sources_sha256}` of the packages in `root`, by default those that are running.

    `dirty` tells of changes in these packages alone, new files included. Both it and `commit` are None where
    `root` is not the top of a git checkout, as in an installed package.
    """
    root = (root or Path(__file__).parent.parent).resolve()
    return {**_git(root), "sources_sha256": sources_sha256(root)}


def sources_sha256(root: Path) -> str:
    """Over the names (relative to `root`) and contents of the packages' Python and YAML files."""
    digest = hashlib.sha256()
    files = {
        path.relative_to(root).as_posix(): path
        for package in PACKAGES
        for path in (root / package).rglob("*")
        if path.suffix in SOURCES and path.is_file()
    }
    for name in sorted(files):
        digest.update(f"{name}\0{hashlib.sha256(files[name].read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Python's version and those of the packages that can change a result or a time."""
    found = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git(root: Path) -> dict[str, Any]:
    top_and_commit = _ask_git(root, "rev-parse", "--show-toplevel", "HEAD")
    # Elsewhere than at the top, the repository is another one, around the environment we are installed in.
    if top_and_commit is None or Path(top_and_commit.splitlines()[0]).resolve() != root:
        return {"commit": None, "dirty": None}
    changes = _ask_git(root, "status", "--porcelain", "--untracked-files=all", "--", *PACKAGES)
    return {
        "commit": top_and_commit.splitlines()[1],
        "dirty": None if changes is None else bool(changes.strip()),
    }


def _ask_git(root: Path, *arguments: str) -> str | None:
    """What git says, None where it is not there or refuses."""
    # A hook's GIT_DIR would answer for another repository; a lock would disturb the user's own git.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=GIT_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
