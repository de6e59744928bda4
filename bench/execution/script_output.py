"""What a script prints: written to its log, up to a size, and cut into lines as it arrives."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.execution import scratch

# If a script prints more than this, the log keeps its beginning and its end.
MOST_HEAD_BYTES = 32 << 20
MOST_TAIL_BYTES = 1 << 20
TAIL_LINES = 20
MOST_LINE_BYTES = 1 << 16
READ_BYTES = 1 << 16


class ScriptLog:
    """The log file: all bytes, or the first and the last if there are too many."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by close()
        scratch.hold_open(self._file)
        self._room = MOST_HEAD_BYTES
        self._tail: deque[bytes] = deque()
        self._tail_bytes = self._left_out = 0
        self.failure: str | None = None

    def write(self, data: bytes) -> None:
        """Write these bytes. A full disk ends the log but not the run."""
        head, rest = data[: self._room], data[self._room :]
        self._room -= len(head)
        self._append(head)
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
            while self._tail_bytes - len(self._tail[0]) >= MOST_TAIL_BYTES:
                dropped = self._tail.popleft()
                self._tail_bytes -= len(dropped)
                self._left_out += len(dropped)

    def close(self) -> None:
        if self._left_out:
            self._append(f"\n[bench: {self._left_out:,} bytes are left out here]\n".encode())
        self._append(b"".join(self._tail))
        self._tail.clear()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self.close()

    def _append(self, data: bytes) -> None:
        while data and self.failure is None:
            try:
                data = data[self._file.write(data) or 0 :]
            except OSError as error:
                self.failure = f"the log could not be written: {error.strerror}"


class Lines:
    """Cuts bytes into lines of text; a carriage return ends a line too, as in progress bars."""

    def __init__(self) -> None:
        self.count = 0
        self._last: deque[str] = deque(maxlen=TAIL_LINES)
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that these bytes complete, without empty ones. Invalid UTF-8 is replaced."""
        whole, newline, rest = (self._rest + data).replace(b"\r", b"\n").rpartition(b"\n")
        self._rest = rest
        if not newline:
            if len(rest) < MOST_LINE_BYTES:
                return []
            whole, self._rest = rest, b""  # a line without end is taken in parts
        lines = [line for line in whole.decode("utf-8", "replace").split("\n") if line]
        self.count += len(lines)
        self._last.extend(lines)
        return lines

    def finish(self) -> list[str]:
        """The last line, if it has no newline."""
        return self.feed(b"\n") if self._rest else []

    @property
    def last(self) -> list[str]:
        """The last lines, at most TAIL_LINES of them."""
        return list(self._last)


def read_available(pipe: int) -> bytes | None:
    """What a non-blocking pipe holds now; None at its end."""
    try:
        return os.read(pipe, READ_BYTES) or None
    except BlockingIOError:
        return b""
    except OSError:
        return None
