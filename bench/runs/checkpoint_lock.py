"""Who works on a seed with checkpoints, so that no second command goes on from the same one at the same time."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
from pathlib import Path

NAME = "checkpoints.lock"
# The open file of each store. It stays open, because a process that closes a file loses all its locks on it.
_FILES: dict[Path, io.BufferedWriter] = {}


class CheckpointLock:
    """Seeds of cells that this process holds, until `release` or its end.

    A store has one file, in which each seed of each cell has a byte. Such locks also hold between hosts that share the
    file system; processes that were started do not inherit them. Where nothing can be locked, everything is held.
    """

    def __init__(self, results: Path) -> None:
        self._path = results.resolve() / "runs" / NAME
        self._held: list[int] = []

    def hold(self, cell: str, seed: int) -> bool:
        """Whether no other process holds it; if so, this one does from now on."""
        place = int.from_bytes(hashlib.sha256(f"{cell} {seed}".encode()).digest()[:4], "big") // 2
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path not in _FILES:
                _FILES[self._path] = self._path.open("ab")
            fcntl.lockf(_FILES[self._path], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EAGAIN)
        self._held.append(place)
        return True

    def release(self) -> None:
        for place in self._held:
            fcntl.lockf(_FILES[self._path], fcntl.LOCK_UN, 1, place)
        self._held.clear()
