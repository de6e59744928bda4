"""Which code a script is: the commit of its repository, whether anything was changed, and a hash of its sources."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

from bench.files import sha256_of_files
from bench.host.git import GitFailed, git

# Source code in any language. Other files without a commit may be a script's output.
SOURCES = frozenset({
    ".py", ".pyx", ".pyi", ".ipynb", ".sh", ".bash", ".c", ".cc", ".cpp", ".cxx", ".h", ".hpp", ".cu", ".cuh", ".js",
    ".mjs", ".ts", ".jl", ".r", ".rs", ".go", ".lua", ".java", ".kt", ".scala", ".swift", ".m", ".pl", ".rb", ".f90",
    ".zig",
})  # fmt: skip
# Configuration counts if it is in the commit.
CONFIGS = frozenset([".yaml", ".yml", ".toml", ".json", ".cfg", ".ini", ".txt", ".lock"])
MOST_FILE_BYTES = 1 << 22
MOST_FILES = 20_000
# In a folder with more entries, only the files beside the script count.
MOST_ENTRIES = 2_000
GIT_TIMEOUT_S = 10
_NOT_LOOKED_INTO = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})


class State(NamedTuple):
    """A file's state. The file is read again only if its size or its time has changed."""

    sha256: str
    size: int
    changed_ns: int


@dataclass(frozen=True)
class ScriptSources:
    """The sources around a script, by their names relative to `root`, as they are at one moment.

    In a git repository those are the files of source and configuration that git knows, and new ones of source that it
    does not ignore; elsewhere the source below the script's folder. Files that the command names belong to them.
    """

    root: Path
    files: Mapping[str, State]
    commit: str | None = None
    dirty: bool | None = None
    commit_unknown: str | None = None

    @classmethod
    def now(cls, folder: Path, argv: Sequence[str]) -> Self:
        """Those of a command in `folder`."""
        named = [path for argument in argv if (path := _file(folder, argument)) is not None]
        try:
            root, commit, status = _in_git(folder)
            tracked = _listed(git(root, "ls-files", "-z", timeout_s=GIT_TIMEOUT_S))
            new = [name for mark, name in status if mark == "?" and _suffix(name) in SOURCES]
            kept = [name for name in tracked if _suffix(name) in SOURCES or _suffix(name) in CONFIGS]
            dirty = bool(new) or any(mark != "?" for mark, _ in status)
            files = _states(root, [*kept, *new, *_names(root, named)])
            return cls(root, files, commit, dirty, None if commit else "the repository has no commit yet")
        except GitFailed as error:
            root = named[0].parent if named else folder
            inside = [path.relative_to(root).as_posix() for path in _below(root)]
            why = "it is in no git repository" if "not a git repository" in error.reason else error.reason
            files = _states(root, [*inside, *_names(root, named)])
            return cls(root, files, commit_unknown=why.replace(str(folder), "this folder"))

    @cached_property
    def sha256(self) -> str:
        """The hash over names and contents."""
        return sha256_of_files({name: state.sha256 for name, state in self.files.items()})

    def identity(self) -> dict[str, Any]:
        """`{commit, dirty, sources_sha256}`, and `commit_unknown`, why it is, where there is no commit."""
        told = {"commit": self.commit, "dirty": self.dirty, "sources_sha256": self.sha256}
        return told | ({"commit_unknown": self.commit_unknown} if self.commit_unknown else {})

    def changed(self) -> list[str]:
        """The files that are gone or have other content by now. New files may be the script's output."""
        now = _states(self.root, list(self.files), self.files)
        return [name for name, state in self.files.items() if name not in now or now[name].sha256 != state.sha256]


def _in_git(folder: Path) -> tuple[Path, str | None, list[tuple[str, str]]]:
    """The top of the repository, its commit, and the files that differ from it, each with git's letter for how."""
    root = Path(git(folder, "rev-parse", "--show-toplevel", timeout_s=GIT_TIMEOUT_S))
    command = ("status", "--porcelain=v2", "-z", "--branch", "--untracked-files=all", "--no-renames")
    entries = git(root, *command, timeout_s=GIT_TIMEOUT_S).split("\0")
    commit = next((entry.split()[2] for entry in entries if entry.startswith("# branch.oid ")), "(initial)")
    status = [(entry[0], entry[2:]) for entry in entries if entry and entry[0] in "?12u"]
    return root, None if commit == "(initial)" else commit, status


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _listed(output: str) -> list[str]:
    return [name for name in output.split("\0") if name]


def _file(folder: Path, argument: str) -> Path | None:
    """The file that an argument names; None if it names none, or one too large to be source."""
    path = folder / argument
    try:
        return path if len(argument) < 4096 and path.is_file() and path.stat().st_size <= MOST_FILE_BYTES else None
    except (OSError, ValueError):
        return None


def _names(root: Path, paths: Sequence[Path]) -> list[str]:
    return [Path(os.path.relpath(path, root)).as_posix() for path in paths]


def _below(root: Path) -> Iterator[Path]:
    """The source files below a folder, or only those directly in it if it holds too many."""
    seen = 0
    found: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _NOT_LOOKED_INTO]
        folders[:] = [name for name in folders if not (Path(folder) / name / "pyvenv.cfg").exists()]
        seen += len(names) + len(folders)
        if seen > MOST_ENTRIES:
            return (path for path in found if path.parent == root)
        found += [Path(folder) / name for name in names if _suffix(name) in SOURCES]
    return iter(found)


def _states(root: Path, names: Sequence[str], known: Mapping[str, State] | None = None) -> dict[str, State]:
    """The states of these files. Files that have not changed since `known` are not read again."""
    states: dict[str, State] = {}
    for name in list(dict.fromkeys(names))[:MOST_FILES]:
        path = os.path.join(root, name)
        try:
            found = os.stat(path)
            before = known.get(name) if known else None
            if found.st_size > MOST_FILE_BYTES or not stat.S_ISREG(found.st_mode):
                continue
            if before is None or (before.size, before.changed_ns) != (found.st_size, found.st_ctime_ns):
                with open(path, "rb") as file:
                    content = file.read()
                before = State(hashlib.sha256(content).hexdigest(), len(content), found.st_ctime_ns)
            states[name] = before
        except OSError:
            continue
    return states
