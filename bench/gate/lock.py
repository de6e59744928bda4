"""One gate at a time on a machine: two that measured beside each other would both be wrong."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import MissingError

POLL_S = 0.5


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
        holder.write_text(f"process {os.getpid()} ({command})", encoding="utf-8")
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


def _read(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8") or "another gate"
    except OSError:
        return "another gate"
