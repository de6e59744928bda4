"""An .npz of a user's own, by the names that most people give the arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.pipelines.datasets.own.arrays import Splits, split_of
from bench.pipelines.errors import DataCorrupt

# Images and labels of the training, then of the test; those without a test need `held_out`.
NAMES = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("train_x", "train_y", "test_x", "test_y"),
    ("x_train", "y_train", "x_test", "y_test"),
    ("images", "labels"),
    ("x", "y"),
)


def read(path: Path, layout: str | None) -> Splits:
    """The splits in the file. Pickled arrays are never loaded. Raises DataCorrupt."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return splits_of({name: archive[name] for name in _wanted(archive.files, str(path))}, str(path), layout)
    except DataCorrupt:
        raise
    except Exception as error:  # a damaged file makes zipfile, zlib and numpy raise a dozen unrelated types
        raise DataCorrupt(f"{path} is not a readable .npz: {error}.") from error


def splits_of(arrays: dict[str, npt.NDArray[Any]], where: str, layout: str | None) -> Splits:
    """The splits in arrays by one of the sets of NAMES. Raises DataCorrupt where none of them is complete."""
    names = _wanted(list(arrays), where)
    train = split_of(arrays[names[0]], arrays[names[1]], f"{where} ({names[0]}, {names[1]})", layout)
    if len(names) == 2:
        return Splits(train, None)
    return Splits(train, split_of(arrays[names[2]], arrays[names[3]], f"{where} ({names[2]}, {names[3]})", layout))


def _wanted(there: list[str], where: str) -> tuple[str, ...]:
    for names in NAMES:
        if set(names) <= set(there):
            return names
    wanted = "; or ".join(", ".join(names) for names in NAMES)
    raise DataCorrupt(f"{where} holds {', '.join(there) or 'nothing'}; it needs {wanted} (these with held_out).")
