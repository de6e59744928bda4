"""One gate at a time on a machine: two that measured beside each other would both be wrong."""

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
    """Of this user, whatever checkout or results folder; other users' files could not be opened."""
    return Path(tempfile.gettempdir()) / f"bench-gate-{os.getuid()}.lock"


@contextmanager
def only_one(command: str, say: Callable[[str], None]) -> Iterator[None]:
    """Measure while no other does; where one does, `say` whose turn it is, once, and wait until it has ended.

    The lock is the system's, so that it goes with the process that holds it, however that ends. Raises MissingError
    where there is no place for it.
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
    """As a new file, because in a folder that is open to all the name may be a link to one of this user's files."""
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
