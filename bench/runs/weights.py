"""Kept weights by what a person types: a file of them, or the run that trained them. Torch is not needed for this."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bench.errors import MissingError, UsageError
from bench.files import open_regular
from bench.runs.lookup import find_runs
from bench.text import units

SUFFIX = ".pt"
IDENTITY_DIGITS = 16


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights, and the SHA-256 of its bytes at the time when it was written or chosen."""

    path: Path
    sha256: str

    @property
    def identity(self) -> str:
        """What the config of a run says that uses them: the beginning of the SHA-256."""
        return self.sha256[:IDENTITY_DIGITS]


def place_of(run_id: str, results: Path) -> Path:
    """Where a run keeps its weights, beside the store."""
    return results / "runs" / "weights" / f"{run_id}{SUFFIX}"


def make_room(results: Path) -> None:
    """Make the folder of kept weights. Raises `MissingError` where it cannot be: before a training, not after it."""
    folder = place_of("", results).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingError(f"--keep-weights: {folder} cannot be made: {error.strerror}; give --results") from None


def find(reference: str, results: Path) -> WeightsFile:
    """The weights meant by a file, or by the beginning of the id of a run below `results` that kept its own.

    Raises `UsageError` for a reference that means neither, and for a file that is not what the run wrote.
    """
    try:
        is_there = Path(reference).exists()
    except OSError:  # too long a name for any file
        is_there = False
    if is_there and not Path(reference).is_dir() and Path(reference).suffix != ".jsonl":
        return _hashed(Path(reference))
    try:
        runs = find_runs([reference], results)
    except UsageError as error:
        raise UsageError(f"--weights {reference}: there is no such file, and {error}") from None
    if len(runs) != 1:
        raise UsageError(f"--weights {reference}: these are {len(runs)} runs; give the id of one, or a {SUFFIX} file")
    run = runs[0]
    kept = units.get(run.config, "resolved", "kept_weights")
    if not kept:
        raise UsageError(
            f"--weights {reference}: run {run.run_id} kept no weights; train with --keep-weights, and give that run"
        )
    path = results / kept["file"]
    if not path.is_file():
        raise UsageError(f"--weights {reference}: {path}, where run {run.run_id} kept them, is gone; give a file")
    found = _hashed(path)
    if found.sha256 != kept["sha256"]:
        raise UsageError(
            f"--weights {reference}: {path} was changed since run {run.run_id} wrote it (SHA-256 {found.identity}…, "
            f"not {kept['sha256'][:IDENTITY_DIGITS]}…); give the file itself if that is what you want"
        )
    return found


def _hashed(path: Path) -> WeightsFile:
    try:
        with open(open_regular(path), "rb") as file:
            return WeightsFile(path, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise UsageError(f"--weights {path}: cannot be read: {error.strerror}") from None
