"""Files that are there whole or not at all, that are files at all, and that are nobody else's."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

# Recipes, matrices, records and published runs lie in it, also where it was installed.
PACKAGE = Path(__file__).parent


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft to write, beside `path`; it takes its place at the end, complete on the disk, or leaves no trace.

    Raises OSError where one of this is not possible.
    """
    # Not by the process's number, which another host that shares the folder may have too.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


class NotRegular(OSError):
    """A pipe, a device, a socket or a folder stands where a file should."""


def open_regular(path: Path | str, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
    """A descriptor of a regular file, which the caller closes.

    Opening a named pipe would wait for a writer, and reading a device may never end. Raises `NotRegular` for these
    and whatever else is no regular file, OSError where it cannot be opened.
    """
    # Without O_NONBLOCK, the opening itself hangs on a pipe.
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        os.set_blocking(fd, True)
        return fd
    os.close(fd)
    raise NotRegular(errno.EINVAL, "not a regular file", str(path))


def user_cache() -> Path:
    """Where this project keeps what it can make again: below $XDG_CACHE_HOME, else ~/.cache.

    A relative $XDG_CACHE_HOME counts as none, as its specification says: it would be another folder in every folder.
    Raises RuntimeError for a user without a home.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME") or "")
    return (named if named.is_absolute() else Path.home() / ".cache") / "bench-to-accuracy"


def private_folder(path: Path) -> Path:
    """`path` as a folder that nobody but this user can write to or read; it is made where it is not there yet.

    What lies in it may be believed, because no one else can have put it there. Raises PermissionError where it, or a
    link in its place, belongs to somebody else, OSError where it cannot be made.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(fd)
        if found.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, f"it belongs to another user (number {found.st_uid})", str(path))
        if stat.S_IMODE(found.st_mode) & 0o077:
            os.fchmod(fd, 0o700)
    finally:
        os.close(fd)
    return path
