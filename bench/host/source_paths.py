"""The files of a tree that decide which code runs."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

PACKAGES = ("bench", "models", "pipelines")
# Other files at the top of the tree that decide which code runs; Python imports the last two by itself.
BESIDE = ("constraints.txt", "pyproject.toml", "sitecustomize.py", "usercustomize.py")
SOURCES = (".py", ".yaml", ".cpp", ".h")
# Suffixes of files that Python would import in place of a source, or without one.
COMPILED = (*EXTENSION_SUFFIXES, ".pyc")
# The flags of a compiled module (PEP 552) that contains a hash of its source which Python does not check.
HASHED, CHECKED = 0b01, 0b10


def source_paths(root: Path) -> Iterator[Path]:
    """Those of `root`, and compiled modules that Python would not compare with their sources."""
    packages = [root / package for package in PACKAGES]
    own = {os.path.realpath(package) for package in packages}
    for package in packages:
        for folder, folders, names in os.walk(package, followlinks=True):
            # bench/models is a link to models; its files count once, under the name that git has for them.
            folders[:] = [name for name in folders if os.path.realpath(os.path.join(folder, name)) not in own]
            if Path(folder).name == "__pycache__":
                folders.clear()
                yield from (Path(folder) / name for name in names if _is_unchecked(Path(folder) / name))
            else:
                yield from (Path(folder) / name for name in names if name.endswith((*SOURCES, *COMPILED)))
    yield from (root / name for name in BESIDE)


def _is_unchecked(compiled: Path) -> bool:
    """Whether Python would run this compiled module without comparing it with its source."""
    try:
        with open(compiled, "rb") as file:
            head = file.read(8)
    except OSError:
        return False
    flags = int.from_bytes(head[4:8], "little")
    return head[:4] == importlib.util.MAGIC_NUMBER and bool(flags & HASHED) and not flags & CHECKED
