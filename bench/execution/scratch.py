"""Private temporary folders that are removed with their process; those of dead processes are removed later.

A process holds a lock on its folder while it lives, so its death is noticed whatever ended it, and also in containers,
where process ids mean little. On network file systems a lock is often visible only on its own machine, so folder names
identify the machine and its start, and folders of other machines are left alone.
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
# The longest path of a socket: 108 bytes with the final zero on Linux, 104 on macOS.
SOCKET_PATH_BYTES = 103
SOCKET_NAME_BYTES = len(f"/{PREFIX}123456-12345678/listener-12345678")


@functools.cache
def for_runs() -> Path:
    """This process's folder in the temporary directory, $TMPDIR, for temporary files of runs."""
    try:
        return _make(tempfile.gettempdir())
    except OSError as error:
        raise MissingError(f"no temporary folder can be made: {error}; set TMPDIR to a place for it") from None


@functools.cache
def for_sockets() -> Path:
    """This process's folder with a path short enough for sockets, which multiprocessing uses as well.

    Raises MissingError if no place is short enough.
    """
    places = [tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR"), "/tmp", "/var/tmp", "/dev/shm"]
    for place in filter(None, places):
        if len(os.fsencode(place)) + SOCKET_NAME_BYTES > SOCKET_PATH_BYTES:
            continue
        with suppress(OSError):
            folder = for_runs() if place == tempfile.gettempdir() else _make(place)
            # The result of `multiprocessing.util.get_temp_dir` from now on, also in child processes.
            process: Any = multiprocessing.current_process()
            process._config["tempdir"] = str(folder)
            return folder
    raise MissingError(
        f"sockets need a folder with a path of at most {SOCKET_PATH_BYTES - SOCKET_NAME_BYTES} bytes, and "
        f"{', '.join(filter(None, places))} are longer or cannot be written; set TMPDIR to a short one"
    )


def for_one_run() -> Path:
    """A new folder in `for_runs`; call `remove` when the run has ended."""
    return Path(tempfile.mkdtemp(prefix="run-", dir=for_runs()))


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(place: str) -> None:
    """Remove the folders there whose owners are dead.

    Folders of other users and machines are kept, and so are files.
    """
    with suppress(OSError):
        for entry in os.scandir(place):
            with suppress(OSError):
                if entry.name.startswith(prefix_here()) and (held := _hold(entry.path)) is not None:
                    remove(Path(entry.path))
                    os.close(held)


def hold_open(file: IO[bytes]) -> None:
    """Mark an open file as in use while this process or a forked child has it open."""
    with suppress(OSError):  # a file system without locks
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_dead_files(folder: Path) -> None:
    """Remove the files there that nobody has open any more."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            with suppress(OSError), open(entry.path, "rb", opener=_open_regular) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(entry.path)


@functools.cache
def prefix_here() -> str:
    """The beginning of the names of folders made since the start of this machine, including its containers."""
    try:
        start = BOOT_ID.read_text()
    except OSError:
        start = platform.node()
    return f"{PREFIX}{hashlib.sha256(start.encode()).hexdigest()[:6]}-"


def _open_regular(path: str, flags: int) -> int:
    """Open a regular file; does not follow links and does not block on pipes."""
    opened = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(f"{path} is no file")
    return opened


def _make(place: str) -> Path:
    """A folder of mode 0700 that gets its name only after it is locked."""
    remove_leftovers(place)
    draft = tempfile.mkdtemp(prefix="bench-new-", dir=place)
    held = None
    with suppress(OSError):  # a file system without locks, where no folder is taken for a dead process's
        held = _hold(draft)
    folder = Path(place, prefix_here() + draft.rpartition("-")[2])
    os.rename(draft, folder)
    atexit.register(_end, folder, held, os.getpid())
    return folder


def _hold(folder: str) -> int | None:
    """A descriptor that holds the folder's lock; None if a living process holds it. Raises OSError."""
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
    if os.getpid() == owner:  # not a forked child
        remove(folder)
        if held is not None:
            os.close(held)
