"""Files: written atomically, opened only if regular, and kept in folders that nobody else can write to."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

# The package's folder, installed or in a checkout; it holds recipes, matrices, records and published runs.
PACKAGE = Path(__file__).parent


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`. At the end it replaces `path` after a sync to disk; on an error it is removed.

    Raises OSError if the file cannot be written or replaced.
    """
    # The process id would not do: another host that shares the folder may have a process of the same id.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


class NotRegular(OSError):
    """A pipe, device, socket or folder was found in place of a regular file."""


def open_regular(path: Path | str, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
    """A descriptor of a regular file; the caller closes it.

    Opening a named pipe would wait for a writer, and reading a device may never end. Raises `NotRegular` for anything
    but a regular file, and OSError if it cannot be opened.
    """
    # Without O_NONBLOCK, opening a pipe would block.
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        os.set_blocking(fd, True)
        return fd
    os.close(fd)
    raise NotRegular(errno.EINVAL, "not a regular file", str(path))


def user_cache() -> Path:
    """The folder for files that can be regenerated: below $XDG_CACHE_HOME, else ~/.cache.

    Raises RuntimeError for a user without a home.
    """
    return _user_folder("XDG_CACHE_HOME", ".cache")


def user_config() -> Path:
    """The folder for files of this user that must last: below $XDG_CONFIG_HOME, else ~/.config.

    Raises RuntimeError for a user without a home.
    """
    return _user_folder("XDG_CONFIG_HOME", ".config")


def _user_folder(variable: str, usual: str) -> Path:
    """Below the folder that the variable names, else the usual one. A relative path is ignored, as the specification
    of these variables requires."""
    named = Path(os.environ.get(variable) or "")
    return (named if named.is_absolute() else Path.home() / usual) / "bench-to-accuracy"


def private_folder(path: Path) -> Path:
    """`path` as a folder that only this user can read and write; it is created if missing.

    Its content can be trusted, because nobody else can have put it there. Raises PermissionError if it, or a link in
    its place, belongs to another user, and OSError if it cannot be created.
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


def sha256_of(path: Path) -> str:
    """The SHA-256 of a regular file. Raises OSError."""
    with open(open_regular(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_files(files: Mapping[str, str]) -> str:
    """One hash for files given by name and hash, in whatever order."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{files[name]}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
