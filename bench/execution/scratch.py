"""Private temporary folders that go with the process that made them, and those of dead ones taken away.

An owner holds a lock on its folder for as long as it lives, so that it is known to be dead whatever ended it, in a
container too, where its number says nothing. On a network's file system a lock is often known to its own machine alone,
so that folders bear the mark of their machine's start, and those of others are left alone.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import hashlib
import multiprocessing
import os
import platform
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from bench.errors import MissingError

PREFIX = "bench-tmp-"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Of a socket's path: 108 with its zero on Linux, 104 on macOS.
SOCKET_PATH_BYTES = 103
SOCKET_NAME_BYTES = len(f"/{PREFIX}123456-12345678/listener-12345678")


@functools.cache
def for_runs() -> Path:
    """This process's folder in the temporary directory, $TMPDIR; for what runs leave behind."""
    try:
        return _make(tempfile.gettempdir())
    except OSError as error:
        raise MissingError(f"no temporary folder can be made: {error}; set TMPDIR to a place for it") from None


@functools.cache
def for_sockets() -> Path:
    """This process's folder with a path that is short enough for sockets; multiprocessing makes its own there too.

    Raises MissingError where no place is short enough.
    """
    places = [tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR"), "/tmp", "/var/tmp", "/dev/shm"]
    for place in filter(None, places):
        if len(os.fsencode(place)) + SOCKET_NAME_BYTES > SOCKET_PATH_BYTES:
            continue
        with suppress(OSError):
            folder = for_runs() if place == tempfile.gettempdir() else _make(place)
            # What `multiprocessing.util.get_temp_dir` gives from now on, here and in the processes started here.
            process: Any = multiprocessing.current_process()
            process._config["tempdir"] = str(folder)
            return folder
    raise MissingError(
        f"sockets need a folder with a path of at most {SOCKET_PATH_BYTES - SOCKET_NAME_BYTES} bytes, and "
        f"{', '.join(filter(None, places))} are longer or cannot be written; set TMPDIR to a short one"
    )


def for_one_run() -> Path:
    """A new folder in `for_runs`; `remove` it when the run has ended."""
    return Path(tempfile.mkdtemp(prefix="run-", dir=for_runs()))


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(place: str) -> None:
    """Take away the folders there whose owners are dead.

    Those of other users and machines stay, and what is no folder.
    """
    with suppress(OSError):
        for entry in os.scandir(place):
            with suppress(OSError):
                if entry.name.startswith(prefix_here()) and (held := _hold(entry.path)) is not None:
                    remove(Path(entry.path))
                    os.close(held)


def hold_open(file: IO[bytes]) -> None:
    """Mark an open file as somebody's, for as long as this process or a child that it forked has it open."""
    with suppress(OSError):  # a file system without locks
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_dead_files(folder: Path) -> None:
    """Take away the files there that nobody holds open any more."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            with suppress(OSError), open(entry.path, "rb", opener=_open_regular) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(entry.path)


@functools.cache
def prefix_here() -> str:
    """How the names of folders begin that were made since this machine, whatever containers it holds, was started."""
    try:
        start = BOOT_ID.read_text()
    except OSError:
        start = platform.node()
    return f"{PREFIX}{hashlib.sha256(start.encode()).hexdigest()[:6]}-"


def _open_regular(path: str, flags: int) -> int:
    """Neither by a link nor, for ever, a pipe."""
    opened = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(f"{path} is no file")
    return opened


def _make(place: str) -> Path:
    """A folder of mode 0700 that bears its name only once it is held."""
    remove_leftovers(place)
    draft = tempfile.mkdtemp(prefix="bench-new-", dir=place)
    held = None
    with suppress(OSError):  # a file system without locks, where nothing is ever taken for a dead one's
        held = _hold(draft)
    folder = Path(place, prefix_here() + draft.rpartition("-")[2])
    os.rename(draft, folder)
    atexit.register(_end, folder, held, os.getpid())
    return folder


def _hold(folder: str) -> int | None:
    """A descriptor that holds the folder's lock; None where a living process holds it. Raises OSError."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(opened).st_uid != os.getuid():
            raise PermissionError(folder)
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(opened)
        return None
    except OSError:
        os.close(opened)
        raise
    return opened


def _end(folder: Path, held: int | None, owner: int) -> None:
    if os.getpid() == owner:  # and not a child that was forked
        remove(folder)
        if held is not None:
            os.close(held)
