from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from bench.pipelines.datasets.npz import read_npz
from bench.pipelines.errors import DataCorrupt, PipelineError
from tests.pipelines.datasets.tiny_sets import INFO, TEST, TRAIN


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def arrays(**changed: object) -> dict[str, object]:
    whole = {
        "train_x": TRAIN.images,
        "train_y": TRAIN.labels.astype(np.uint8),
        "test_x": TEST.images,
        "test_y": TEST.labels.astype(np.uint8),
    }
    return {name: value for name, value in {**whole, **changed}.items() if value is not None}


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_images_and_labels_come_back(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays(train_y=TRAIN.labels.astype(dtype)))
    train, test = read_npz(path, INFO)
    np.testing.assert_array_equal(train.images, TRAIN.images)
    np.testing.assert_array_equal(train.labels, TRAIN.labels)
    np.testing.assert_array_equal(test.images, TEST.images)
    assert train.labels.dtype == np.int64


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"test_y": None}, "has no test_y"),
        ({"train_x": TRAIN.images.astype(np.float32)}, "(train): images are float32 [8, 3, 32, 32]"),
        ({"train_x": TRAIN.images.transpose(0, 2, 3, 1)}, "transpose"),
        ({"test_x": TEST.images[:, :, :28, :28]}, "(test): images are uint8 [3, 3, 28, 28]"),
        ({"test_x": TEST.images[0]}, "images are uint8 [3, 32, 32]"),
        ({"train_y": TRAIN.labels.astype(float)}, "labels are float64"),
        ({"train_y": TRAIN.labels[:, None]}, "labels are int64 [8, 1]"),
        ({"train_y": TRAIN.labels[:-1]}, "8 images and 7 labels"),
        ({"train_x": TRAIN.images[:0], "train_y": TRAIN.labels[:0]}, "0 images"),
        ({"train_y": np.full(8, 10)}, "labels run from 10 to 10; cifar10 has 0..9"),
        ({"train_y": np.full(8, -1)}, "labels run from -1"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays(**changed))
    with pytest.raises(DataCorrupt, match=re.escape(said)) as caught:
        read_npz(path, INFO)
    assert str(path) in str(caught.value)


def test_pickled_objects_are_refused_and_not_run(tmp_path: Path) -> None:
    path, witness = tmp_path / "a.npz", tmp_path / "witness"
    np.savez(path, **arrays(train_y=np.array([Touch(witness)] * 8, dtype=object)))
    with pytest.raises(DataCorrupt, match="allow_pickle"):
        read_npz(path, INFO)
    assert not witness.exists()


def test_every_kind_of_damage_is_one_kind_of_error(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays())
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for length in rng.integers(0, len(whole), 40):
        path.write_bytes(whole[:length])
        with pytest.raises(DataCorrupt):
            read_npz(path, INFO)
    for _ in range(200):
        damaged = bytearray(whole)
        for position in rng.integers(0, len(whole), 30):
            damaged[position] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        with pytest.raises(DataCorrupt):
            read_npz(path, INFO)


def test_one_array_is_no_npz(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with path.open("wb") as file:
        np.save(file, TRAIN.images)
    with pytest.raises(DataCorrupt, match="single array"):
        read_npz(path, INFO)


def test_a_file_that_cannot_be_opened_is_not_called_corrupt(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="No such file") as caught:
        read_npz(tmp_path / "a.npz", INFO)
    assert not isinstance(caught.value, DataCorrupt)
