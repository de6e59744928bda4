"""The 1,797 handwritten digits of 8x8 pixels that come with scikit-learn: real data without a network."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.datasets.catalog import DATASETS
from bench.pipelines.errors import DataCorrupt, DataMissing

_INFO = DATASETS["digits"]
_TEST_PER_CLASS = 36
_FINGERPRINT = "ccef49ab24773b9bebd420cfea691c191759b0ed8da641be7cbe29fffd23ef8d"


def load_digits() -> Dataset:
    """Train and test split, the same on every machine; pixels 0..16 are scaled to 0..255.

    The test split has 36 digits of each class, evenly spaced in scikit-learn's order. Raises DataMissing if
    scikit-learn does not have the file, DataCorrupt if its content is different.
    """
    path = _embedded_file()
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8, ndmin=2)
    except (OSError, EOFError, ValueError) as error:
        raise DataCorrupt(f"{path} cannot be read: {error}. Reinstall scikit-learn.") from error
    if table.shape != (_INFO.train_count + _INFO.test_count, 65):
        raise DataCorrupt(f"{path} holds a table {list(table.shape)}, not [1797, 65]. Reinstall scikit-learn.")
    scaled = (table[:, :-1].astype(np.uint16) * 255 + 8) // 16
    images = scaled.astype(np.uint8).reshape(-1, *_INFO.image_shape)
    labels = table[:, -1].astype(np.int64)
    in_test = np.zeros(len(labels), dtype=bool)
    for label in range(_INFO.classes):
        of_class = np.flatnonzero(labels == label)
        in_test[of_class[np.arange(_TEST_PER_CLASS) * len(of_class) // _TEST_PER_CLASS]] = True
    dataset = Dataset(
        _INFO.name,
        Split(images[~in_test], labels[~in_test]),
        Split(images[in_test], labels[in_test]),
        _INFO.classes,
        mean=(0.30548,),
        std=(0.37596,),
        official=True,
    )
    if dataset.fingerprint != _FINGERPRINT:
        raise DataCorrupt(
            f"{path} is not the known digits set: its fingerprint is {dataset.fingerprint}, "
            f"expected {_FINGERPRINT}. Reinstall scikit-learn."
        )
    return dataset


def _embedded_file() -> Path:
    # Not through sklearn.datasets, whose import takes longer than an epoch of training on these digits.
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataMissing("digits is part of scikit-learn, which is not installed: pip install scikit-learn.")
    path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not path.is_file():
        raise DataMissing(f"scikit-learn brings no {path}. Install one of the versions that pyproject.toml allows.")
    return path
