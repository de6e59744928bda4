"""Which code produced a number: the commit, whether files were changed, a hash of the sources, and what else ran."""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

from bench.files import PACKAGE, sha256_of_files
from bench.host.git import GitFailed, git
from bench.host.source_paths import BESIDE, COMPILED, PACKAGES, SOURCES, source_paths

STARTUP_MODULES = ("sitecustomize", "usercustomize")
# Packages that can change a result or a time; those not installed are left out.
DISTRIBUTIONS = (
    "torch", "torchvision", "triton", "numpy", "ffcv", "numba", "pillow", "scikit-learn", "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13", "nvidia-ml-py", "pandas", "pyarrow",
)  # fmt: skip
GIT_TIMEOUT_S = 10
# How many changed files are named.
MOST_NAMES = 3
NOT_PYTHONS_OWN = ", not of this Python"


class File(NamedTuple):
    """The hash of a file, its names in git (SHA-1 and SHA-256), and when it was last written or moved."""

    sha256: str
    blobs: tuple[str, str]
    changed_ns: int


@dataclass(frozen=True)
class Sources:
    """The files that decide which code runs, by their names relative to `root`, at one moment."""

    root: Path
    files: Mapping[str, File]

    @classmethod
    def now(cls, root: Path | None = None) -> Self:
        """The sources in `root` now, by default the running ones. Takes some ten milliseconds."""
        root = root or own_root()
        return cls(
            root, {path.relative_to(root).as_posix(): file for path in source_paths(root) if (file := _read(path))}
        )

    @cached_property
    def sha256(self) -> str:
        """The hash over names and contents."""
        return sha256_of_files({name: file.sha256 for name, file in self.files.items()})

    def differing_from(self, earlier: Sources) -> list[str]:
        """The files that are new, deleted or changed since `earlier`, including those that were changed and
        restored."""
        names = sorted(self.files.keys() | earlier.files.keys())
        return [name for name in names if self.files.get(name) != earlier.files.get(name)]

    def identity(self) -> dict[str, Any]:
        """`{commit, dirty, sources_sha256}`, and `commit_unknown` with the reason if there is no commit.

        `dirty` is whether any of these files differs from that commit, regardless of git's index and ignore rules. Both
        are None if `root` is not the top of a git checkout, as in an installed package.
        """
        try:
            return {**self._in_git(), "sources_sha256": self.sha256}
        except GitFailed as error:
            # The folder's name is private.
            why = error.reason.replace(str(self.root), "this folder")
            return {"commit": None, "dirty": None, "commit_unknown": why, "sources_sha256": self.sha256}

    def _in_git(self) -> dict[str, Any]:
        # The folder's name may contain a line break.
        top, _, commit = git(self.root, "rev-parse", "--show-toplevel", "HEAD", timeout_s=GIT_TIMEOUT_S).rpartition(
            "\n"
        )
        # If this is not the top, it is another repository, around the environment in which the package is installed.
        if Path(top).resolve() != self.root:
            raise GitFailed("not the top of a git checkout")
        listed = git(self.root, "ls-tree", "-r", "-z", commit, "--", *PACKAGES, *BESIDE, timeout_s=GIT_TIMEOUT_S)
        committed = {
            name: about.split()[2]
            for about, _, name in (entry.partition("\t") for entry in listed.split("\0") if entry)
            if _counts(name)
        }
        differing = {name for name, file in self.files.items() if committed.get(name) not in file.blobs}
        dirty = bool(committed.keys() - self.files.keys()) or any(name not in committed for name in differing)
        return {"commit": commit, "dirty": dirty or self._differ_by_content(sorted(differing), committed)}

    def _differ_by_content(self, names: list[str], committed: Mapping[str, str]) -> bool:
        """Whether files also differ from the commit after git's conversion of line endings."""
        if not names:
            return False
        # git sees the files as they are now, which may have changed since.
        now = {name: _read(self.root / name) for name in names}
        if any("\n" in name or (file := now[name]) is None or file.sha256 != self.files[name].sha256 for name in names):
            return True
        stored = git(self.root, "hash-object", "--stdin-paths", stdin="\n".join(names), timeout_s=GIT_TIMEOUT_S)
        return stored.split() != [committed[name] for name in names]


def own_root() -> Path:
    """The folder that contains the running packages."""
    return PACKAGE.resolve().parent


def code_identity(root: Path | None = None) -> dict[str, Any]:
    """`{commit, dirty, sources_sha256}` of the sources in `root` now; see `Sources.identity`."""
    return Sources.now(root and root.resolve()).identity()


def sources_sha256(root: Path) -> str:
    """The hash over the names (relative to `root`) and contents of the files that decide which code runs."""
    return Sources.now(root).sha256


def loaded_beside() -> dict[str, str]:
    """Code in this process besides the sources and the installed packages: names with SHA-256.

    These are modules that Python imports by itself at its start, and C++ libraries compiled for this machine.
    """
    from bench.host.native import SHA256_OF_LOADED

    found = dict(SHA256_OF_LOADED)
    for name in STARTUP_MODULES:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is not None and (seen := _read(Path(file))) is not None:
            found[name if _is_pythons_own(Path(file)) else f"{name}{NOT_PYTHONS_OWN}"] = seen.sha256
    return found


def versions() -> dict[str, str]:
    """Python's version and those of the packages that can change a result or a time."""
    from importlib import metadata  # which takes as long as all else here

    found = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def by_package(versions: Iterable[Mapping[str, str]]) -> dict[str, list[str]]:
    """The different versions of each package in these, sorted."""
    found: dict[str, set[str]] = {}
    for name, version in itertools.chain.from_iterable(one.items() for one in versions):
        found.setdefault(name, set()).add(version)
    return {name: sorted(several) for name, several in found.items()}


def remarks(code: Mapping[str, Any]) -> list[str]:
    """What to print about the code of a run, from its record."""
    told = [f"Qualifies under no rule: {what}." for what in faults(code).values()]
    if why := code.get("commit_unknown"):
        told.append(f"Commit unknown: {why}. Only the hash identifies the code.")
    return told


def faults(*codes: Mapping[str, Any]) -> dict[str, str]:
    """The reasons why runs of such code do not count, by a code for programs."""
    changed = sorted({name for code in codes for name in code.get("changed_during_run") or ()})
    wrong = sorted({name for code in codes for name in code.get("bytecode_not_of_source") or ()})
    found = {}
    if changed:
        found["code_changed_during_run"] = f"the code changed while it ran ({listed(changed)}); run it again"
    if wrong:
        found["bytecode_not_of_source"] = (
            f"compiled modules that are not of their sources ran in their place ({listed(wrong)}); "
            "delete the __pycache__ folders and run it again"
        )
    return found


def listed(names: Sequence[str]) -> str:
    """The first few names, as one text."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"


def _counts(name: str) -> bool:
    """Whether a file of the commit is one that decides which code runs."""
    return name in BESIDE or (name.endswith((*SOURCES, *COMPILED)) and "__pycache__" not in name.split("/"))


def _read(path: Path) -> File | None:
    """The file; None if there is none. Anything but a regular file, such as a pipe, is not opened."""
    try:
        if not path.is_file():
            return None
        with open(path, "rb") as file:
            content, changed_ns = file.read(), os.fstat(file.fileno()).st_ctime_ns
    except OSError:
        return None
    as_blob = b"blob %d\0" % len(content) + content
    blobs = (hashlib.sha1(as_blob, usedforsecurity=False).hexdigest(), hashlib.sha256(as_blob).hexdigest())
    return File(hashlib.sha256(content).hexdigest(), blobs, changed_ns)


def _is_pythons_own(file: Path) -> bool:
    """Whether a module belongs to the Python installation or to the sources, and not to a folder on PYTHONPATH."""
    if file.resolve().parent == own_root():
        return True
    folders = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(file.absolute().is_relative_to(folder) for folder in folders if folder)
