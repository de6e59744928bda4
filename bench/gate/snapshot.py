"""Revisions of a user's repository as folders of their own, side by side; the repository itself stays as it is.

The base is a commit. Head is the working tree: its commit with the changes and the new files that git does not ignore.
Both are git worktrees below a temporary folder, so no file of the user's is written, stashed or checked out. git keeps
a note of a worktree in `.git/worktrees` as long as the folder is there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.gate.checkout import Checkout, resolve, temporary_sides
from bench.host.git import SHORT_COMMIT, GitFailed, git

SUBMODULE = "160000"
MOST_NAMES_TOLD = 3


def repository_at(folder: Path) -> Path:
    """The top of the repository that a folder is in. Raises UsageError where no working tree with a commit is there."""
    try:
        if git(folder, "rev-parse", "--is-bare-repository") == "true":
            raise UsageError(
                f"{folder} is a bare repository, which has no files to be measured; call this in a checkout of it, "
                "which `git worktree add` makes"
            )
        top = Path(git(folder, "rev-parse", "--show-toplevel"))
    except GitFailed as error:
        raise UsageError(f"{folder} is in no git repository that can be used: {error.reason}") from None
    try:
        git(top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except GitFailed:
        raise UsageError(f"{top} has no commit yet, so there is no base; commit first") from None
    return top.resolve()


@dataclass
class Snapshot:
    """A revision in its folder: `commit`, the files that differ from it, and what should be said of it."""

    root: Path
    commit: str
    changed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def code(self) -> dict[str, Any]:
        """Which code it is: `{commit, dirty, sources_sha256}`; the hash is over the commit and what differs from it."""
        digest = hashlib.sha256(f"{self.commit}\n".encode())
        for name in sorted(self.changed):
            digest.update(f"{name}\0{_content(self.root / name)}\n".encode(errors="surrogateescape"))
        return {"commit": self.commit, "dirty": bool(self.changed), "sources_sha256": digest.hexdigest()}


@dataclass(frozen=True)
class Snapshots:
    """Base and head, in folders whose paths are equally long (see `bench.gate.checkout.Checkout`)."""

    base: Snapshot
    head: Snapshot


@contextmanager
def side_by_side(top: Path, base: str, shared: Sequence[str] = (), place: int = 0) -> Iterator[Snapshots]:
    """The revision `base` and the working tree at `top`, which go away at the end.

    `shared` are paths that git does not track, such as data; both sides get links to them. Each `place` has paths of
    another length. Raises UsageError for an unknown revision, a path that cannot be shared, and a working tree that
    cannot be copied.
    """
    commit = resolve(top, base)
    with temporary_sides(top, place) as sides:
        try:
            snapshots = _laid_out(top, commit, sides, shared)
        except GitFailed as error:
            raise UsageError(f"{top} cannot be laid out for measuring: {error}") from None
        except OSError as error:
            # Not as something that is missing, with which a CI may pass.
            raise UsageError(
                f"{error.filename or top} cannot be copied to {sides.head}: {error.strerror}; set TMPDIR to a place "
                "with room, or let git ignore what no run needs"
            ) from None
        yield snapshots


def _laid_out(top: Path, commit: str, sides: Checkout, shared: Sequence[str]) -> Snapshots:
    """Both sides with what they share. Raises UsageError, GitFailed and OSError."""
    snapshots = Snapshots(_check_out(top, commit, sides.base), _check_out(top, _head(top), sides.head))
    _lay_over(top, snapshots.head)
    for side in (snapshots.base, snapshots.head):
        _share(top, side.root, shared)
    return snapshots


def _head(top: Path) -> str:
    return git(top, "rev-parse", "HEAD")


def _check_out(top: Path, commit: str, folder: Path) -> Snapshot:
    """A worktree of a commit, its submodules with it. Raises UsageError where git cannot make it."""
    try:
        git(top, "worktree", "add", "--detach", "--quiet", str(folder), commit)
    except GitFailed as error:
        raise UsageError(f"{commit[:SHORT_COMMIT]} cannot be checked out: {error}") from None
    found = Snapshot(folder, commit)
    for name, wanted in _submodules(top, commit):
        inside = top / name
        if not (inside / ".git").exists():
            found.notes.append(
                f"the submodule {name} is not checked out here, so neither side has it; "
                "`git submodule update --init` brings it"
            )
            continue
        try:
            git(inside, "rev-parse", "--verify", "--quiet", f"{wanted}^{{commit}}")
        except GitFailed:
            raise UsageError(
                f"{commit[:SHORT_COMMIT]} needs commit {wanted[:SHORT_COMMIT]} of the submodule {name}, which is not "
                f"here; `git -C {name} fetch` brings it"
            ) from None
        found.notes += _check_out(inside, wanted, folder / name).notes
    return found


def _submodules(top: Path, commit: str) -> list[tuple[str, str]]:
    """The path and the commit of each."""
    listed = git(top, "ls-tree", "-r", "-z", "--full-tree", commit).split("\0")
    entries = [entry.partition("\t") for entry in listed if entry]
    return [(name, about.split()[2]) for about, _, name in entries if about.startswith(SUBMODULE)]


def _lay_over(top: Path, head: Snapshot) -> None:
    """Bring what is not committed into head's folder, that of submodules too."""
    names = _uncommitted(top, head.commit)
    # All that differs is removed first: a file may have become a folder, or a folder a link to one elsewhere, and
    # nothing may be removed through such a link.
    for name in sorted(names):  # a folder before what is in it
        if not (top / name / ".git").exists():
            _remove(head.root / name)
    for name in names:
        source, target = top / name, head.root / name
        if (source / ".git").exists():
            _lay_over_submodule(name, source, target, head)
            continue
        if _is_there(top, name):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
        head.changed.append(name)


def _is_there(top: Path, name: str) -> bool:
    """Whether the working tree has this file itself, and not behind a link to another folder."""
    path = top / name
    return (path.is_symlink() or path.is_file()) and path.parent.resolve() == (top.resolve() / name).parent


def _lay_over_submodule(name: str, source: Path, target: Path, head: Snapshot) -> None:
    """A submodule as it is checked out: perhaps another commit than the one recorded, and changes in it."""
    if not (target / ".git").exists():  # a repository within the repository, of which git knows nothing
        head.notes.append(f"{name} is a repository of its own, so neither side has it; `shared:` would give it to both")
        return
    now = _head(source)
    git(target, "checkout", "--quiet", "--detach", now)
    inside = Snapshot(target, now)
    _lay_over(source, inside)
    head.changed += [f"{name}/{one}" for one in inside.changed] or [name]


def _uncommitted(top: Path, commit: str) -> list[str]:
    """The paths that differ from the commit, and those that git does not know and does not ignore."""
    # Both outputs begin with a sign, so that no name loses its first space.
    differing = git(top, "diff", "--raw", "--no-renames", "-z", "--ignore-submodules=none", commit).split("\0")
    unknown = git(top, "ls-files", "-t", "-z", "--others", "--exclude-standard").split("\0")
    return [*differing[1::2], *(line.partition(" ")[2].rstrip("/") for line in unknown if line)]


def _share(top: Path, root: Path, paths: Sequence[str]) -> None:
    for path in paths:
        source, target = top / path, root / path
        if Path(path).is_absolute() or not Path(os.path.normpath(source)).is_relative_to(top):
            raise UsageError(f"shared: {path} is not a path inside the repository; a path outside needs no link")
        if not source.exists():
            raise UsageError(f"shared: there is no {source}; correct the path, or leave it out")
        if os.path.lexists(target):
            raise UsageError(f"shared: {path} is in git, so each side has its own; leave it out")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)


def told_changes(head: Snapshot) -> str | None:
    """What to say of a working tree with changes."""
    if not head.changed:
        return None
    names = ", ".join(head.changed[:MOST_NAMES_TOLD])
    more = f" and {len(head.changed) - MOST_NAMES_TOLD} more" if len(head.changed) > MOST_NAMES_TOLD else ""
    return f"head is the working tree, with changes that are not committed: {names}{more}"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _content(path: Path) -> str:
    """A hash of what a path holds, `gone` where nothing is there."""
    if path.is_symlink():
        return f"link {os.readlink(path)}"
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return "a folder" if path.exists() else "gone"
