"""Where a script leaves its events: a named pipe, or a file if the file system has no pipes."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

READ_BYTES = 1 << 16


class EventSource:
    """A pipe in `folder`, whose name the script is given in $BENCH_EVENTS.

    Both ends are open here, so that writers never wait for a reader and the pipe outlives its first writer.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events"
        try:
            os.mkfifo(self.path, 0o600)
            self._file = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        except OSError:  # a file system without pipes
            self._file = os.open(self.path, os.O_RDONLY | os.O_CREAT, 0o600)
        self._is_pipe = stat.S_ISFIFO(os.fstat(self._file).st_mode)

    @property
    def sources(self) -> list[int]:
        """What becomes readable when an event arrives. A file never does; it is polled."""
        return [self._file] if self._is_pipe else []

    def read(self) -> bytes:
        """What has been written since the last call."""
        try:
            return os.read(self._file, READ_BYTES)
        except OSError:
            return b""

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._file)
