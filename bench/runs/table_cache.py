"""Tables of files of JSON lines. Decoded rows are cached for the user, so that only new lines are decoded."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from bench.files import open_regular, private_folder, replacing, user_cache
from bench.runs.columns import join_tables
from bench.runs.run import RecordError
from bench.runs.store import StoreError, problem_of, unfinished_line

# Decoding a smaller file is as fast as reading its copy.
MIN_BYTES = 1 << 20
BLOCK_BYTES = 1 << 20
# A file that changed so recently may change again within the same time stamp.
SETTLED_NS = 2_000_000_000
UNUSED_S = 30 * 24 * 3600.0

Problems = list[tuple[int, str]]


class Reader(Protocol):
    """A way to turn lines into a table; a new object for each reading."""

    kind: str

    def decode(self, line: bytes) -> Any:
        """The record on a line, None if this reader leaves it to another. Raises RecordError for anything else."""

    def table(self, numbers: list[int], records: list[Any]) -> pa.Table:
        """The table of records; `numbers` are their line numbers."""


@dataclass
class Content:
    """The content of the first `end` bytes of a file, which are `lines` whole lines.

    `problems` are the numbers of lines that were left out, with the reason.
    """

    table: pa.Table
    end: int = 0
    lines: int = 0
    problems: Problems = field(default_factory=list)

    def __add__(self, following: Content) -> Content:
        """This content and what follows it; `following` counts from the beginning of the file too."""
        table = join_tables([one.table for one in (self, following) if one.table.num_rows] or [self.table])
        return Content(table, following.end, following.lines, self.problems + following.problems)


def read_table(path: Path, make_reader: type[Reader]) -> tuple[pa.Table, Problems]:
    """The file's rows in the order of its lines, and the lines that were left out.

    Rows that an earlier call has cached are not decoded again; the result is the same. Raises StoreError for a file
    that cannot be read.
    """
    try:
        with open(open_regular(path), "rb", buffering=BLOCK_BYTES) as file, ThreadPoolExecutor(1) as second:
            fd = file.fileno()
            look = FileState(fd)
            tail = unfinished_line(fd, look.num_bytes)
            end = look.num_bytes - len(tail)
            cache = _open_cache(path, make_reader.kind) if end >= MIN_BYTES else None
            content = cache.read(fd, look) if cache else None
            # Hashing releases the GIL, so with a second core it costs no extra time.
            hashing = second.submit(cache.sha256, fd, end) if cache and cache.is_stale else None
            if content is None:
                content = _decode(make_reader(), _lines(file, 0, end))
            elif content.end < end:
                content += _decode(make_reader(), _lines(file, content.end, end), content.end, content.lines)
            if cache and hashing and (sha256 := hashing.result()):
                cache.write(look, content, sha256)
            if tail:
                content += _decode(make_reader(), [tail], content.end, content.lines)
    except OSError as error:
        raise StoreError(f"results cannot be read from {path}: {error.strerror}") from None
    return content.table, content.problems


class FileState:
    """The state of an open file according to the file system. A later change gives another `stamp` if the state
    `is_settled`."""

    def __init__(self, fd: int) -> None:
        stat = os.fstat(fd)
        self.num_bytes = stat.st_size
        self.stamp = [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        self.is_settled = time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > SETTLED_NS


class TableCache:
    """The cached table of `source`, one for each `kind` of table; it can be deleted at any time.

    It lies in a folder that only this user can write to and not beside the file, because a copy that came with a folder
    of results could contain other numbers than the file. It is used if the file has the identity, size and times that
    it had when the copy was made, or else if the bytes that the copy covers have the recorded SHA-256. The copy has a
    checksum of its own, so that a torn one is ignored.
    """

    def __init__(self, source: Path, kind: str) -> None:
        """Raises OSError if there is no place for copies, RuntimeError for a user without a home."""
        name = hashlib.sha256(os.fsencode(os.path.realpath(source))).hexdigest()[:32]
        self.path = private_folder(user_cache() / "tables") / f"{name}.{kind}"
        self.is_stale = True  # whether the copy should be rewritten
        self._covered: tuple[Any, int] = hashlib.sha256(), 0  # a running hash, and the number of bytes hashed

    def read(self, fd: int, look: FileState) -> Content | None:
        """The cached content of the beginning of the open file; None if there is no valid copy."""
        try:
            with open(open_regular(self.path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                header = json.loads(file.readline())
                payload = file.read()
            if (header["version"], header["crc32"]) != (_version(), zlib.crc32(payload)):
                return None
            if not header["is_settled"] or header["stamp"] != look.stamp:
                sha256 = _sha256(fd, 0, header["end"])
                if sha256 is None or sha256.hexdigest() != header["sha256"]:
                    return None
                self._covered = sha256, header["end"]
            else:
                self.is_stale = False
            os.utime(self.path)
            table = pa.ipc.open_file(pa.py_buffer(payload)).read_all()
            return Content(table, header["end"], header["lines"], [(line, text) for line, text in header["problems"]])
        except (OSError, ValueError, LookupError, TypeError, pa.ArrowException):
            return None

    def sha256(self, fd: int, end: int) -> Any:
        """The hash of the first `end` bytes of the file; None if it has become shorter."""
        running, start = self._covered
        return _sha256(fd, start, end, running)

    def write(self, look: FileState, content: Content, sha256: Any) -> None:
        """Replace the copy atomically. A failure costs only time."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, content.table.schema) as writer:
            writer.write_table(content.table)
        payload = sink.getvalue()
        header = {
            "version": _version(),
            "crc32": zlib.crc32(payload),
            "stamp": look.stamp,
            "is_settled": look.is_settled,
            "end": content.end,
            "lines": content.lines,
            "sha256": sha256.hexdigest(),
            "problems": content.problems,
        }
        with contextlib.suppress(OSError), replacing(self.path) as draft, draft.open("wb") as file:
            file.write(json.dumps(header).encode() + b"\n")
            file.write(payload)
        _forget_unused(self.path.parent)


def _open_cache(source: Path, kind: str) -> TableCache | None:
    """The cache; None if there is no place for copies, which costs only time."""
    try:
        return TableCache(source, kind)
    except (OSError, RuntimeError):
        return None


def _forget_unused(folder: Path) -> None:
    """Delete copies that have not been read for a long time."""
    for copy in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - copy.stat().st_mtime > UNUSED_S:
                copy.unlink()


def _decode(reader: Reader, lines: Iterable[bytes], end: int = 0, count: int = 0) -> Content:
    """The content of the lines after the first `count` lines, which end at byte `end`."""
    numbers: list[int] = []
    records: list[Any] = []
    problems: Problems = []
    decode = reader.decode
    for line in lines:
        count += 1
        end += len(line)
        try:
            if (record := decode(line)) is None:
                continue
            records.append(record)
            numbers.append(count)
        except RecordError as error:
            if line.strip():
                problems.append((count, problem_of(line, error)))
    return Content(reader.table(numbers, records), end, count, problems)


def _lines(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """The lines between two byte positions, even while others append."""
    file.seek(start)
    for line in file:
        start += len(line)
        if start > end:
            return
        yield line


def _sha256(fd: int, start: int, end: int, running: Any = None) -> Any:
    """The hash of the bytes from `start` to `end`, continuing `running`; None if the file is shorter."""
    sha256 = running.copy() if running else hashlib.sha256()
    while start < end:
        block = os.pread(fd, min(BLOCK_BYTES, end - start), start)
        if not block:
            return None
        sha256.update(block)
        start += len(block)
    return sha256


@functools.cache
def _version() -> str:
    """A hash of the sources that make the tables; if they change, files are decoded again."""
    names = ("annotation.py", "columns.py", "run.py", "shape.py", "store.py", "table_cache.py", "tables.py")
    return hashlib.sha256(b"".join((Path(__file__).parent / name).read_bytes() for name in names)).hexdigest()
