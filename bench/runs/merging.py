"""Bringing runs from several machines into one store."""

from __future__ import annotations

import codecs
import io
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.files import open_regular
from bench.runs.line import StoreLine
from bench.runs.store import Store, StoreError, each_record, jsonl_files

CONFLICTS_NAMED = 5
# The first bytes of files that hold runs in another form, with its name and a remedy.
_FOREIGN = (
    (b"\x1f\x8b", "packed by gzip", "gunzip it first"),
    (b"PK\x03\x04", "packed by zip", "unzip it first"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "unzstd it first"),
    (b"BZh", "packed by bzip2", "bunzip2 it first"),
    (b"\xfd7zXZ", "packed by xz", "unxz it first"),
    (b"PAR1", "a Parquet file", "merge the file of JSON lines that it was exported from"),
    (codecs.BOM_UTF16_LE, "UTF-16 text", "save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16 text", "save it as UTF-8"),
)


# The name that a shell gives to a file descriptor of this process.
_OPEN_ALREADY = re.compile(r"/dev/stdin|(?:/dev|/proc/self)/fd/([0-9]{1,6})")
MOST_PIPED_BYTES = 1 << 28


class ConflictError(BenchError):
    """Two different runs have the same id."""


@dataclass(frozen=True)
class Merged:
    """How many runs of a file were `new` to the store, and how many it already had.

    `impossible` names the impossible numbers of new runs; such a run is kept but not ranked. `annotations` of runs are
    counted apart, those that were new.
    """

    path: Path
    new: int
    known: int
    impossible: tuple[str, ...] = ()
    annotations: int = 0


def merge(store: Store, paths: Iterable[Path], dry_run: bool = False) -> list[Merged]:
    """Append what the store does not have yet from files, folders of `*.jsonl` or results folders: runs, annotations.

    A pipe passed to this process, for instance by `<(zcat runs.jsonl.gz)` or as standard input `-`, is read to its end.

    Returns what each file had. Lines are copied unchanged. Raises StoreError if a path has no file of runs or the store
    cannot be written, and ConflictError if two different runs have the same id; then nothing is appended.
    """
    incoming: dict[Path, list[StoreLine]] = {}
    for path in map(_stdin_by_name, paths):
        piped = _piped(path)
        for file in [path] if piped is not None else _files(path):
            lines = list(each_record(file, StoreLine.read, None if piped is None else io.BytesIO(piped)))
            if not lines and (what := _not_lines(_head(file) if piped is None else piped)) is not None:
                raise StoreError(f"{file}: {what}; nothing was merged")
            incoming.setdefault(file, lines)
    merged: list[Merged] = []

    def new_lines() -> Sequence[bytes]:
        lines, merged[:] = _compare(store.path, incoming)
        return lines

    if dry_run:
        new_lines()
    else:
        store.extend(new_lines)
    return merged


def _files(path: Path) -> list[Path]:
    files = jsonl_files([path])
    if not files and (path / "runs").is_dir():
        files = jsonl_files([path / "runs"])
    if not files:
        raise StoreError(f"there are no .jsonl files in {path}, nor in a folder runs below it")
    return files


def _stdin_by_name(path: Path) -> Path:
    return Path("/dev/stdin") if str(path) == "-" else path


def _piped(path: Path) -> bytes | None:
    """The content of a pipe that is already open in this process; None for anything else.

    Only such a pipe is certain to have a writer. Raises StoreError for more data than is kept in memory.
    """
    match = _OPEN_ALREADY.fullmatch(str(path))
    try:
        if match is None or not stat.S_ISFIFO(os.fstat(number := int(match[1] or 0)).st_mode):
            return None
        with open(number, "rb", closefd=False) as pipe:
            content = pipe.read(MOST_PIPED_BYTES + 1)
    except OSError as error:
        raise StoreError(f"results cannot be read from {path}: {error.strerror}") from None
    if len(content) > MOST_PIPED_BYTES:
        raise StoreError(f"{path}: more than {MOST_PIPED_BYTES >> 20} MiB came; save them as a file, and merge that")
    return content


def _head(path: Path) -> bytes:
    with open(open_regular(path), "rb") as file:
        return file.read(1 << 12)


def _not_lines(head: bytes) -> str | None:
    """Why a file with this beginning and without any run is not a file of runs, with a remedy; None if it is empty."""
    for mark, what, remedy in _FOREIGN:
        if head.startswith(mark):
            return f"this is {what}, and no lines of JSON; {remedy}"
    return "no line of it is a run" if head.strip() else None


def _compare(store: Path, incoming: Mapping[Path, Sequence[StoreLine]]) -> tuple[list[bytes], list[Merged]]:
    """The lines that the store lacks, and what each file has. Raises ConflictError."""
    ids = {line.id for lines in incoming.values() for line in lines}
    here = each_record(store, lambda line: StoreLine.read(line, ids)) if store.exists() else ()
    known = {line.id: (line, store) for line in here}
    new: list[StoreLine] = []
    merged: list[Merged] = []
    conflicts: list[str] = []
    for path, lines in incoming.items():
        before = len(new)
        for line in lines:
            other, place = known.setdefault(line.id, (line, path))
            if other is line:
                new.append(line)
            elif not other.is_same(line):
                conflicts.append(f"{line.id} in {path} and in {place}")
        merged.append(_counted(path, lines, new[before:]))
    if conflicts:
        more = f", and {len(conflicts) - CONFLICTS_NAMED} more" if len(conflicts) > CONFLICTS_NAMED else ""
        raise ConflictError(
            "nothing was merged, because different runs have the same id: "
            f"{'; '.join(conflicts[:CONFLICTS_NAMED])}{more}. "
            "A record is never edited: find out which one was, and take it out"
        )
    return [line.text for line in new], merged


def _counted(path: Path, lines: Sequence[StoreLine], added: Sequence[StoreLine]) -> Merged:
    new, there = (sum(not line.is_annotation for line in some) for some in (added, lines))
    doubts = tuple(f"run {line.run_id}: {line.impossible}" for line in added if line.impossible)
    return Merged(path, new, there - new, doubts, len(added) - new)
