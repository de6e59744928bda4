"""Reads the kernel's folder /proc, or one like it in a test, with as little time as possible."""

from __future__ import annotations

import os
from pathlib import Path

# Of the longest file that is read, /proc/stat of a machine with hundreds of cores.
READ_BYTES = 1 << 20


def read(proc: Path | str, name: str) -> bytes:
    """A file's content, empty if it cannot be read. It avoids `open`, whose layers would take most of the time."""
    try:
        file = os.open(f"{proc}/{name}", os.O_RDONLY)
        try:
            return os.read(file, READ_BYTES)
        finally:
            os.close(file)
    except OSError:
        return b""


def pids(proc: Path | str) -> list[str]:
    """The ids of all processes as text; empty if the system has no such folder."""
    try:
        return [name for name in os.listdir(proc) if name.isdecimal()]
    except OSError:
        return []


def stat_of(proc: Path | str, pid: int | str) -> list[bytes]:
    """The fields of a process's `stat` behind its name, the state first; empty if there is no such process."""
    _, _, behind = read(proc, f"{pid}/stat").rpartition(b")")  # the name may hold brackets and spaces
    return behind.split()


def size_bytes(proc: Path | str, name: str, key: bytes) -> int | None:
    """The bytes in a file's line such as `VmHWM:   1234 kB`, by its key; None if it has no such line."""
    _, _, behind = (b"\n" + read(proc, name)).partition(b"\n" + key + b":")
    try:
        return int(behind.split(maxsplit=1)[0]) * 1024
    except (ValueError, IndexError):
        return None
