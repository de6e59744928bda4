"""A data set as one .npz: train_x, train_y, test_x, test_y."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.datasets.catalog import DatasetInfo
from bench.pipelines.datasets.checks import checked_split
from bench.pipelines.errors import DataCorrupt, PipelineError

KEYS = ("train_x", "train_y", "test_x", "test_y")


def read_npz(path: Path, info: DatasetInfo) -> tuple[Split, Split]:
    """The train and the test split. Pickled (object) arrays are never loaded.

    Raises DataCorrupt where the file is torn, a key is missing, or an array does not fit `info`.
    """
    arrays = _read_arrays(path)
    train = checked_split(arrays["train_x"], arrays["train_y"], info, f"{path} (train)")
    test = checked_split(arrays["test_x"], arrays["test_y"], info, f"{path} (test)")
    return train, test


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise DataCorrupt(f"{path} holds a single array, not an .npz with {', '.join(KEYS)}.")
        with loaded as npz:
            missing = [key for key in KEYS if key not in npz.files]
            if missing:
                raise DataCorrupt(f"{path} has no {', '.join(missing)}; an .npz needs {', '.join(KEYS)}.")
            return {key: npz[key] for key in KEYS}
    except PipelineError:
        raise
    except FileNotFoundError as error:
        raise PipelineError(f"Cannot read {path}: {error.strerror}.") from error
    except Exception as error:
        # A damaged file makes zipfile, zlib and numpy's header parser raise a dozen unrelated types.
        if isinstance(error, OSError) and error.errno is not None:
            raise PipelineError(f"Cannot read {path}: {error.strerror}.") from error
        raise DataCorrupt(f"{path} is not a readable .npz: {error}.") from error


def write_npz(path: Path, dataset: Dataset) -> None:
    """Uncompressed, in the same layout; labels as uint8. Raises OSError."""
    with path.open("wb") as file:
        np.savez(
            file,
            train_x=dataset.train.images,
            train_y=dataset.train.labels.astype(np.uint8),
            test_x=dataset.test.images,
            test_y=dataset.test.labels.astype(np.uint8),
        )
