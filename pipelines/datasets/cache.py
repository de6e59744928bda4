"""Caches a parsed published data set as an .npz that loads fast, and a JSON that describes it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.files import open_regular, replacing, user_cache
from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.datasets.catalog import DatasetInfo
from bench.pipelines.datasets.npz import read_npz, write_npz
from bench.pipelines.errors import DataCorrupt, PipelineError
from bench.pipelines.signature import is_signed, sign

_VERSION = 1
Stamp = dict[str, list[int]]


@dataclass(frozen=True)
class Description:
    """The content of the JSON. `fingerprint` is that of the data as written; the reader compares it.

    A cache may have been copied from somebody else, so it is `official` only if this user wrote it.
    """

    official: bool
    fingerprint: str


def folders(roots: Iterable[Path], name: str) -> tuple[Path, ...]:
    """The possible folders of a cache: beside the data, or in the user's own cache for read-only data."""
    beside = tuple(root / name for root in roots)
    try:
        return (*beside, user_cache() / name)
    except RuntimeError:  # a user without a home
        return beside


def stamp(files: Sequence[Path]) -> Stamp:
    """The size in bytes and modification time in ns of each source file; a change makes a cache stale.

    Raises DataCorrupt for a file that is missing, PipelineError for one that cannot be looked at.
    """
    try:
        return {file.name: [file.stat().st_size, file.stat().st_mtime_ns] for file in files}
    except FileNotFoundError as error:
        raise DataCorrupt(f"{error.filename} is missing, and the data set with it is incomplete.") from error
    except OSError as error:
        raise PipelineError(f"Cannot read {error.filename}: {error.strerror}.") from error


def npz_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.cached.npz"


def describe(folder: Path, name: str, files: Sequence[Path] | None) -> Description | None:
    """The description of the cache in `folder`; None if there is none, or if it was made from other `files`.

    With `files` None the cache is accepted as it is, because its source has been deleted. If the source exists, a cache
    that this user did not write is ignored.
    """
    if not npz_path(folder, name).is_file():
        return None
    try:
        with open(open_regular(_json_path(folder, name)), encoding="utf-8") as file:
            found = json.load(file)
        mark = found.pop("signature", None)
        is_ours = is_signed(_canonical(found), mark)
        if found["version"] != _VERSION or (files is not None and (not is_ours or found["files"] != stamp(files))):
            return None
        return Description(is_ours and found["official"] is True, str(found["fingerprint"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def read(folder: Path, info: DatasetInfo, files: Sequence[Path] | None) -> tuple[Description, Split, Split] | None:
    """The cached train and test split in `folder`, or None if the cache is missing, torn or stale."""
    description = describe(folder, info.name, files)
    if description is None:
        return None
    try:
        train, test = read_npz(npz_path(folder, info.name), info)
    except PipelineError:
        return None
    return description, train, test


def write(candidates: Iterable[Path], dataset: Dataset, files: Stamp, source: Path) -> Path | None:
    """Write `dataset` to the first folder that allows it; None if none does, because a cache is optional."""
    description = {
        "version": _VERSION,
        "name": dataset.name,
        "official": dataset.official,
        "fingerprint": dataset.fingerprint,
        "source": str(source),
        "files": files,
    }
    for folder in candidates:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(npz_path(folder, dataset.name)) as part:
                write_npz(part, dataset)
            # Written second, so that an interruption between the two leaves a fingerprint that does not match.
            with replacing(_json_path(folder, dataset.name)) as part:
                signed = description | {"signature": sign(_canonical(description))}
                part.write_text(json.dumps(signed, indent=1) + "\n", encoding="utf-8")
            return folder
    return None


def _canonical(description: dict[str, object]) -> str:
    return json.dumps(description, sort_keys=True)


def _json_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.cached.json"
