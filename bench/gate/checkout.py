"""A revision beside the working tree, in a temporary folder that is removed however the command ends."""

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
# A path one folder deeper is 14 bytes longer, which is no multiple of any alignment.
ANOTHER_PLACE = "another-place"
# Names that mark the top of a repository, including submodules and further worktrees.
REPOSITORIES = (".git", ".hg", ".jj", ".svn")


@dataclass(frozen=True)
class Checkout:
    """Folders of two trees, whose paths are equally long, so that the environments of their processes have equal size.

    Even the size of the environment shifts a program's memory, and with it the speed by some percent (Mytkowicz et al.,
    "Producing wrong data without doing anything obviously wrong!", ASPLOS 2009).
    """

    base: Path
    head: Path


def top_of(folder: Path) -> Path:
    """The checkout with this top. Raises UsageError if there is none, as for an installed package."""
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


def enclosing_repository(folder: Path) -> Path | None:
    """The top of the nearest repository of any kind that a folder is in.

    It does not ask git, which refuses repositories of other users and damaged ones.
    """
    folder = folder.resolve()
    return next((one for one in (folder, *folder.parents) if _is_repository(one)), None)


def _is_repository(folder: Path) -> bool:
    is_bare = (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()
    return is_bare or any((folder / kind).exists() for kind in REPOSITORIES)


def is_elsewhere(root: Path, folder: Path) -> bool:
    """Whether a folder is in a different repository than the sources in `root`."""
    folder, root = folder.resolve(), root.resolve()
    here = enclosing_repository(folder)
    return not (here is None or here == root or (here in root.parents and folder.is_relative_to(root)))


def refuse_elsewhere(root: Path, folder: Path, command: str) -> None:
    """Raises UsageError in a different repository than that of the measured sources in `root`."""
    if is_elsewhere(root, folder):
        here = enclosing_repository(folder)
        raise UsageError(
            f"{command} measures the sources of bench itself, which are in {root}, and not those of {here}, the "
            f"repository that you are in; change to {root}, or compare revisions of yours by `bench regress --base`"
        )


def resolve(top: Path, revision: str) -> str:
    """The commit of a revision. Raises UsageError for an unknown one."""
    try:
        return git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except GitFailed:
        raise UsageError(f"--base {revision}: there is no such revision in {top}; {_remedy(top)}") from None


def _remedy(top: Path) -> str:
    with suppress(GitFailed):
        if git(top, "rev-parse", "--is-shallow-repository") == "true":
            return "this clone is shallow: `git fetch --unshallow` first, in CI check out with `fetch-depth: 0`"
    return "`git fetch` it first (in CI, check out with the whole history), or name another"


@contextmanager
def checked_out(top: Path, commit: str, place: int = 0) -> Iterator[Checkout]:
    """Check out the commit beside the present tree. Raises UsageError if git cannot do it."""
    with temporary_sides(top, place) as sides:
        try:
            git(top, "worktree", "add", "--detach", "--quiet", str(sides.base), commit)
        except GitFailed as error:
            raise UsageError(f"the base cannot be checked out: {error}") from None
        sides.head.symlink_to(top, target_is_directory=True)
        yield sides


def for_both(path: Path, top: Path, base: Path, head: Path) -> tuple[Path, Path]:
    """The file of a matrix in the checkouts `base` and `head` of the repository at `top`; the base gets head's."""
    if not path.is_relative_to(top):
        return path, path
    inside = path.relative_to(top)
    for_base, for_head = base / inside, head / inside
    content = for_head.read_bytes() if for_head.is_file() else path.read_bytes()
    for target in (for_base, for_head):
        if not target.is_file() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return for_base, for_head


@contextmanager
def temporary_sides(top: Path, place: int = 0) -> Iterator[Checkout]:
    """Paths for two checkouts of the repository at `top`, which go away at the end, with what a killed command left.

    Each `place` has paths of another length, by which what the length alone does to the speed can be told.
    """
    remove_leftovers(top)
    outer = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    folder = outer.joinpath(*[ANOTHER_PLACE] * place)
    folder.mkdir(exist_ok=True, parents=True)
    try:
        yield Checkout(folder / "base", folder / "head")
    finally:
        _remove(top, outer)


def remove_leftovers(top: Path) -> None:
    """Remove leftovers of killed commands."""
    for repository in (top, *_submodules_of(top)):
        for path in _worktrees_of(repository):
            outer = next((one for one in path.parents if one.name.startswith(PREFIX)), None)
            if outer is None:
                continue
            owner = outer.name.removeprefix(PREFIX).partition("-")[0]
            if owner.isdecimal() and not psutil.pid_exists(int(owner)):
                _remove(top, outer)


def _remove(top: Path, folder: Path) -> None:
    """Remove a folder of ours, and what git knows of the worktrees in it.

    `git worktree prune` would forget the user's own worktrees too that are out of sight now, such as on a disk that is
    not mounted, or outside of the container that this runs in.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for repository in (top, *_submodules_of(top)):
        for path in _worktrees_of(repository):
            # By its name, which is nobody else's: git may write the way to it otherwise.
            if folder.name in path.parts:
                with suppress(GitFailed):  # a name without a folder is harmless; git prunes it in time
                    # Twice, for one that was killed while git made it, which git has locked.
                    git(repository, "worktree", "remove", "--force", "--force", str(path))


def _worktrees_of(repository: Path) -> list[Path]:
    """The worktrees that git knows of; none where it refuses, because leftovers are no reason not to measure."""
    try:
        listed = git(repository, "worktree", "list", "--porcelain").splitlines()
    except GitFailed:
        return []
    return [Path(line.removeprefix("worktree ")) for line in listed if line.startswith("worktree ")]


def _submodules_of(top: Path) -> list[Path]:
    """The submodules that are checked out, those within them too."""
    if not (top / ".gitmodules").is_file():
        return []
    try:
        listed = git(top, "ls-files", "-z", "--stage").split("\0")
    except GitFailed:
        return []
    inside = [top / line.partition("\t")[2] for line in listed if line.startswith("160000 ")]
    found = [one for one in inside if (one / ".git").exists()]
    return [*found, *(deeper for one in found for deeper in _submodules_of(one))]
