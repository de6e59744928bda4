"""One command at a time on the same results: two would do the same runs, and disturb each other's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

from bench.text.console import say

LOCK_POLL_S = 0.5


@contextmanager
def alone(lock: Path, console: Console) -> Iterator[bool]:
    """Wait for another sweep on the same results, or another command that uses a cluster for them.

    Gives whether it had to wait.
    """
    waited = False
    try:
        held = FileLock(lock).acquire(timeout=0)
    except Timeout:
        waited = True
        say(console, f"Waiting for another sweep that records in {lock.parent}; another --results does not wait")
        held = FileLock(lock).acquire(poll_interval=LOCK_POLL_S)
    with held:
        yield waited
