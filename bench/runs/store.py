"""The store: an append-only file of runs as JSON lines, safe against crashes and concurrent processes."""

from __future__ import annotations

import errno
import os
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

import msgspec
from filelock import FileLock, Timeout

from bench.errors import MissingError
from bench.files import open_regular
from bench.host.gc_pause import collector_paused
from bench.runs.annotation import Annotation, Annotations, is_annotation
from bench.runs.run import RecordError, Run

# An append takes milliseconds; a process that holds the lock for longer than this is stopped, not slow.
LOCK_TIMEOUT_S = 120
LOCK_POLL_S = 0.005
WARNINGS_PER_FILE = 5
BATCH = 1000
TAIL_BLOCK_BYTES = 1 << 16
# How `Run.to_json_line` begins; other lines must be decoded to find their run and cell.
_HEAD = re.compile(rb'\{"run_id":"([ !#-\[\]-~]*)","cell":"([ !#-\[\]-~]*)",')


class StoreError(MissingError):
    """The results cannot be written or read: no permission, no space, or no such path."""


class StoreWarning(UserWarning):
    """A line of the store was left out; the others were read."""


class HasRunId(Protocol):
    @property
    def run_id(self) -> str: ...


R = TypeVar("R", bound=HasRunId)
T = TypeVar("T")


class Store:
    """The file `path` of JSON lines, one for each run; the file and its folder are created when first needed."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        # A file has one lock, whatever links lead to it.
        self._real_path = Path(os.path.realpath(self.path))

    def append(self, run: Run) -> None:
        """Write one line and sync it to the disk. On failure the file is left as before.

        Raises StoreError if it cannot be written, TypeError for a run that could not be read back.
        """
        line = run.to_json_line()
        with self._locked():
            self._append(line)

    def read(self, cells: Collection[str] | None = None) -> list[Run]:
        """Every run, or those of some cells, in the order of writing; empty if there is no file yet.

        A line that cannot be read is left out with a StoreWarning; a repeated run counts once.
        """
        files = [self.path] if self.path.exists() else []
        if cells is None:
            return read_all_runs(files)
        return read_runs(files, lambda _, cell: cell in cells)

    def extend(self, make_lines: Callable[[], Sequence[bytes]]) -> None:
        """Append the lines that `make_lines` returns; it is called while the lock is held.

        Raises StoreError if they cannot be written.
        """
        with self._locked():
            lines = make_lines()
            for start in range(0, len(lines), BATCH):
                self._append(b"".join(lines[start : start + BATCH]))

    def check_writable(self, expected_bytes: int) -> None:
        """Check, by writing and removing it, that a record of that size can be written now.

        Raises StoreError otherwise, before hours of training instead of after.
        """
        probe = self._real_path.with_name(f".probe-{os.getpid()}")
        try:
            with self._locked():
                os.close(self._open())
                _sync_folder(self._real_path.parent)
            try:
                with open(probe, "wb") as file:
                    # Random bytes, because a compressing file system has space for any number of zeros.
                    file.write(os.urandom(expected_bytes))
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None

    def _open(self) -> int:
        return open_regular(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT)

    def _append(self, lines: bytes) -> None:
        """Add whole lines after the last whole line; the caller holds the lock."""
        try:
            is_new = not self._real_path.exists()
            fd = self._open()
            try:
                end = os.fstat(fd).st_size
                tail = unfinished_line(fd, end)
                if tail:
                    if is_whole(tail):
                        lines = b"\n" + lines
                    else:
                        self._set_aside(tail)
                        end -= len(tail)
                        os.ftruncate(fd, end)
                _write_or_undo(fd, lines, end)
            finally:
                os.close(fd)
            if is_new:
                _sync_folder(self._real_path.parent)
        except OSError as error:
            raise self._unwritable(error) from None

    def _set_aside(self, tail: bytes) -> None:
        """Save the torn end of a line that a crash left: copy it to a file, then cut it off."""
        torn = self._real_path.with_name(self._real_path.name + ".torn")
        with open(torn, "ab") as file:
            file.write(tail + b"\n")
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(torn.parent)
        warnings.warn(
            f"{self.path}: its last line was torn by a crash; its {len(tail)} bytes were moved to {torn}",
            StoreWarning,
            stacklevel=2,
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the store's lock; the folder exists meanwhile."""
        real = self._real_path
        lock = FileLock(real.with_name(real.name + ".lock"), timeout=LOCK_TIMEOUT_S)
        try:
            _make_folder(real.parent)
            lock.acquire(poll_interval=LOCK_POLL_S)
        except Timeout:
            raise StoreError(
                f"{self.path}: another process has held its lock for {LOCK_TIMEOUT_S} s; end it, then repeat"
            ) from None
        except (OSError, NotImplementedError) as error:
            raise self._unwritable(error) from None
        try:
            yield
        finally:
            lock.release()

    def _unwritable(self, error: Exception) -> StoreError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return StoreError(
            f"results cannot be written to {self.path}: {reason}; make room, or name another folder with --results"
        )


def jsonl_files(paths: Iterable[Path]) -> list[Path]:
    """The given files, and the `*.jsonl` files of the given folders in order of name.

    Raises StoreError for a path that does not exist.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise StoreError(f"there are no results at {path}")
        files += sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    return files


def read_records(
    files: Iterable[Path], decode: Callable[[bytes], R | None], said: list[Annotation] | None = None
) -> Iterator[R]:
    """The result of `decode` for each line of a run, one record for each run id; None results are skipped.

    Annotations are added to `said`, if it is given. A line that cannot be read causes a StoreWarning. Raises StoreError
    for a file that cannot be read.
    """

    def decode_run(line: bytes) -> R | None:
        if not is_annotation(line):
            return decode(line)
        if said is not None:
            said.append(Annotation.from_json_line(line))
        return None

    seen: set[str] = set()
    for path in files:
        for record in each_record(path, decode_run):
            if record.run_id not in seen:
                seen.add(record.run_id)
                yield record


@collector_paused()
def read_all_runs(files: Iterable[Path]) -> list[Run]:
    """Every run in these files, with what their annotations say of it."""
    said: list[Annotation] = []
    return annotated(list(read_records(files, Run.from_json_line, said)), said)


@collector_paused()
def read_runs(files: Iterable[Path], wants: Callable[[str, str], bool]) -> list[Run]:
    """The runs for which `wants(run_id, cell)` is true. Others are not decoded, which saves most of the time.

    Damage in lines that are not wanted is not reported, because only their beginning is read.
    """
    said: list[Annotation] = []
    return annotated(list(read_records(files, chosen(wants), said)), said)


def chosen(wants: Callable[[str, str], bool]) -> Callable[[bytes], Run | None]:
    """Decodes the lines of runs for which `wants(run_id, cell)` is true."""

    def decode(line: bytes) -> Run | None:
        head = head_of(line)
        if head is not None and not wants(*head):
            return None
        run = Run.from_json_line(line)
        return run if wants(run.run_id, run.cell) else None

    return decode


def annotated(runs: Sequence[Run], said: Iterable[Annotation]) -> list[Run]:
    """The runs with what the annotations say of them."""
    known = Annotations(said)
    return [known.on(run) for run in runs] if known else list(runs)


def head_of(line: bytes) -> tuple[str, str] | None:
    """The run's id and cell if the line begins as this store writes it, else None."""
    match = _HEAD.match(line)
    return (match[1].decode(), match[2].decode()) if match else None


def each_record(path: Path, decode: Callable[[bytes], T | None], opened: BinaryIO | None = None) -> Iterator[T]:
    """Every wanted record of a file, including repeated ones; of the file `opened`, if given."""
    problems: list[tuple[int, str]] = []
    try:
        with opened or open(open_regular(path), "rb", buffering=1 << 20) as file:
            for number, line in enumerate(file, 1):
                try:
                    record = decode(line)
                except RecordError as error:
                    if line.strip():
                        problems.append((number, problem_of(line, error)))
                    continue
                if record is not None:
                    yield record
    except OSError as error:
        raise StoreError(f"results cannot be read from {path}: {error.strerror}") from None
    warn_of_problems(path, problems)


def problem_of(line: bytes, error: RecordError) -> str:
    """The message about a line that cannot be read."""
    if line.endswith(b"\n") or is_whole(line):
        return f"left out: {error}"
    return "left out: the line is incomplete, torn by a crash or being written just now"


def warn_of_problems(path: Path, problems: Sequence[tuple[int, str]]) -> None:
    """Warn about each line that was left out; if there are many, about the first ones."""
    told = [f"{path}:{number}: {what}" for number, what in problems[:WARNINGS_PER_FILE]]
    if len(problems) > WARNINGS_PER_FILE:
        told.append(f"{path}: {len(problems) - WARNINGS_PER_FILE} more lines could not be read and were left out")
    for text in told:
        warnings.warn(text, StoreWarning, stacklevel=3)


def unfinished_line(fd: int, end: int) -> bytes:
    """The bytes after the last newline of a file of `end` bytes."""
    blocks: list[bytes] = []
    while end > 0:
        start = max(0, end - TAIL_BLOCK_BYTES)
        block = os.pread(fd, end - start, start)
        newline = block.rfind(b"\n")
        blocks.append(block[newline + 1 :])
        if newline >= 0:
            break
        end = start
    return b"".join(reversed(blocks))


def is_whole(line: bytes) -> bool:
    """Whether only the newline is missing. No proper prefix of a JSON object is valid JSON."""
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _write_or_undo(fd: int, lines: bytes, end: int) -> None:
    """One write and one sync. On failure the file is truncated to `end` bytes and OSError raised."""
    try:
        written = os.write(fd, lines)
        if written < len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, end)
        os.fsync(fd)
        raise


def _make_folder(folder: Path) -> None:
    """Create the folder and its parents, synced so that they survive a power failure."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is a file, not a folder") from None
    for path in missing:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
