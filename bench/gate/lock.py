"""Allows one gate at a time on a machine, because two would disturb each other's measurements."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import MissingError
from bench.files import open_regular

POLL_S = 0.5
MOST_CHARACTERS = 500


def lock_path() -> Path:
    """The lock file of this user, shared by all checkouts and results folders; other users' files cannot be opened."""
    return Path(tempfile.gettempdir()) / f"bench-gate-{os.getuid()}.lock"


@contextmanager
def only_one(command: str, say: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other gate measures; `say` once which one does.

    It is a system lock, which is released when its process ends. Raises MissingError if there is no place for it.
    """
    path = lock_path()
    holder = path.with_suffix(".holder")
    lock = FileLock(path)
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            say(f"Waiting for {_read(holder)}, which measures on this machine; Ctrl-C ends the wait")
            lock.acquire(poll_interval=POLL_S)
        _write(holder, f"process {os.getpid()} ({command})")
    except OSError as error:
        lock.release()
        raise MissingError(
            f"{path}: the gate's lock cannot be had: {error.strerror}; set TMPDIR to a place for it"
        ) from None
    try:
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _write(holder: Path, text: str) -> None:
    """Write a new file, because in a shared folder the name may be a link to one of this user's files."""
    holder.unlink(missing_ok=True)
    with open(
        os.open(holder, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)


def _read(holder: Path) -> str:
    try:
        with open(open_regular(holder, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8", errors="replace") as file:
            return file.read(MOST_CHARACTERS) or "another gate"
    except OSError:
        return "another gate"
