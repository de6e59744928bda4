"""Finds kept weights by what a person types: a file, or the run that trained them. Does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.errors import MissingError, UsageError
from bench.files import sha256_of
from bench.runs.lookup import find_runs
from bench.text import units

SUFFIX = ".pt"
IDENTITY_DIGITS = 16


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights, and the SHA-256 of its bytes when it was written or chosen."""

    path: Path
    sha256: str

    @property
    def identity(self) -> str:
        """The value in the config of a run that uses the weights: the beginning of the SHA-256."""
        return self.sha256[:IDENTITY_DIGITS]


def place_of(run_id: str, results: Path) -> Path:
    """The file in which a run keeps its weights, beside the store."""
    return results / "runs" / "weights" / f"{run_id}{SUFFIX}"


def are_kept(run_id: str, results: Path) -> bool:
    """Whether a run's weights are still where it kept them; false too if it kept none."""
    return place_of(run_id, results).is_file()


def make_room(results: Path) -> None:
    """Create the folder of kept weights. Raises `MissingError` if that fails, before a training instead of after it."""
    folder = place_of("", results).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingError(f"--keep-weights: {folder} cannot be made: {error.strerror}; give --results") from None


def find(reference: str, results: Path, option: str = "--weights") -> WeightsFile:
    """The weights in a file, or those kept by a run below `results`, named by the beginning of its id.

    Raises `UsageError` for a reference that is neither, and for a file that has changed since the run wrote it.
    """
    try:
        is_there = Path(reference).exists()
    except OSError:  # the name is too long for a file
        is_there = False
    if is_there and not Path(reference).is_dir() and Path(reference).suffix != ".jsonl":
        return _hashed(Path(reference), option)
    try:
        runs = find_runs([reference], results)
    except UsageError as error:
        raise UsageError(f"{option} {reference}: there is no such file, and {error}") from None
    if len(runs) != 1:
        raise UsageError(f"{option} {reference}: these are {len(runs)} runs; give the id of one, or a {SUFFIX} file")
    run = runs[0]
    kept = units.get(run.config, "resolved", "kept_weights")
    if not kept:
        raise UsageError(
            f"{option} {reference}: run {run.run_id} kept no weights; train with --keep-weights, and give that run"
        )
    path = results / kept["file"]
    if not path.is_file():
        raise UsageError(f"{option} {reference}: {path}, where run {run.run_id} kept them, is gone; give a file")
    found = _hashed(path, option)
    if found.sha256 != kept["sha256"]:
        raise UsageError(
            f"{option} {reference}: {path} was changed since run {run.run_id} wrote it (SHA-256 {found.identity}…, "
            f"not {kept['sha256'][:IDENTITY_DIGITS]}…); give the file itself if that is what you want"
        )
    return found


def _hashed(path: Path, option: str) -> WeightsFile:
    try:
        return WeightsFile(path, sha256_of(path))
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be read: {error.strerror}") from None
