"""A revision beside the working tree, in a temporary folder that goes away however the command ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.errors import UsageError
from bench.host.git import GitFailed, git

PREFIX = "bench-regress-"
# What marks the top of somebody's repository, a submodule or a second worktree among them.
REPOSITORIES = (".git", ".hg", ".jj", ".svn")


@dataclass(frozen=True)
class Checkout:
    """Two trees at paths of the same length, which makes the environments of their processes equally large.

    Even that shifts where a program's memory lies, and with it its speed by some percent (Mytkowicz et al.,
    "Producing wrong data without doing anything obviously wrong!", ASPLOS 2009).
    """

    base: Path
    head: Path
    commit: str


def top_of(folder: Path) -> Path:
    """The checkout whose top this is. Raises UsageError where it is none, as for an installed package."""
    try:
        top = Path(git(folder, "rev-parse", "--show-toplevel")).resolve()
    except GitFailed as error:
        why = error.reason
    else:
        if top == folder.resolve():
            return top
        why = f"it lies inside the repository {top}"
    raise UsageError(
        f"--base compares revisions, and {folder} is not a git checkout ({why}); "
        "compare with a stored baseline instead: `bench baseline save`, then `bench regress`"
    )


def refuse_elsewhere(root: Path, folder: Path, command: str) -> None:
    """Raises UsageError in a repository other than that of the sources in `root`, which are what the gate measures.

    git itself is not asked: it says no of a repository that is another user's, and of a damaged one.
    """
    folder, root = folder.resolve(), root.resolve()
    here = next((one for one in (folder, *folder.parents) if any((one / kind).exists() for kind in REPOSITORIES)), None)
    if here is None or here == root or (here in root.parents and folder.is_relative_to(root)):
        return
    raise UsageError(
        f"{command} measures the sources of bench itself, which are in {root}, and not those of {here}, the repository "
        f"that you are in; change to {root} for bench's own. For timings of your code: `pytest --benchmark-only "
        "--benchmark-json FILE` before and after, then `bench compare BEFORE AFTER`"
    )


def resolve(top: Path, revision: str) -> str:
    """The commit of a revision. Raises UsageError for one that is not here."""
    try:
        return git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except GitFailed:
        raise UsageError(
            f"--base {revision}: there is no such revision in {top}; `git fetch` it first (in CI, check out with the "
            "whole history), or name another"
        ) from None


@contextmanager
def checked_out(top: Path, commit: str) -> Iterator[Checkout]:
    """The commit as a tree beside the present one; raises UsageError where git cannot check it out."""
    remove_leftovers(top)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    base = folder / "base"
    try:
        try:
            git(top, "worktree", "add", "--detach", "--quiet", str(base), commit)
        except GitFailed as error:
            raise UsageError(f"the base cannot be checked out: {error}") from None
        head = folder / "head"
        head.symlink_to(top, target_is_directory=True)
        yield Checkout(base, head, commit)
    finally:
        _remove(top, folder)


def remove_leftovers(top: Path) -> None:
    """Take away what a command left that was killed."""
    for line in git(top, "worktree", "list", "--porcelain").splitlines():
        path = Path(line.removeprefix("worktree "))
        if line.startswith("worktree ") and path.name == "base" and path.parent.name.startswith(PREFIX):
            owner = path.parent.name.removeprefix(PREFIX).partition("-")[0]
            if owner.isdecimal() and not psutil.pid_exists(int(owner)):
                _remove(top, path.parent)


def _remove(top: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(GitFailed):  # a name without a folder is harmless, and pruned by git in time
        git(top, "worktree", "prune", "--expire", "now")
