"""A user's folder of images and masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.pipelines.datasets import load_dataset
from bench.pipelines.errors import DataCorrupt, WrongOption


def pair(folder: Path, name: str, *, classes: int = 3, size: tuple[int, int] = (6, 4), mode: str = "L") -> None:
    """An image of one colour, and a mask whose columns are of class 0, 1, …"""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    Image.new("RGB", size, (10, 20, 30)).save(folder / "images" / f"{name}.png")
    mask = np.tile(np.arange(size[0]) % classes, (size[1], 1)).astype(np.uint8)
    Image.fromarray(mask).convert(mode).save(folder / "masks" / f"{name}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "abcd":
        pair(tmp_path / "streets", name)
    return tmp_path / "streets"


def test_images_and_masks_of_one_name_belong_together(folder):
    pair(folder, "b", classes=2)
    (folder / "images" / "._b.png").write_bytes(b"what macOS lays beside b.png")
    data = load_dataset(str(folder), options={"held_out": 1})
    assert (data.image_shape, data.classes, data.void, len(data.train), len(data.test)) == ((3, 4, 6), 3, None, 3, 1)
    assert data.train.targets.shape == (3, 4, 6)
    of_two_classes = [mask for split in (data.train, data.test) for mask in split.targets if mask.max() == 1]
    assert len(of_two_classes) == 1
    assert data.name == f"streets-{data.fingerprint[:8]}"


def test_other_masks_are_other_data(folder):
    before = load_dataset(str(folder), options={"held_out": 1}).fingerprint
    pair(folder, "b", classes=2)
    assert load_dataset(str(folder), options={"held_out": 1}).fingerprint != before


def test_splits_of_their_own_and_a_size(tmp_path):
    for split in ("train", "val"):
        for name in "ab":
            pair(tmp_path / "s" / split, name, size=(12, 8))
    data = load_dataset(str(tmp_path / "s"), options={"image_size": 4})
    assert (data.image_shape, len(data.train), len(data.test)) == ((3, 4, 4), 2, 2)
    # The middle 8 of 12 columns, every other one; no class is mixed of others.
    assert data.train.targets[0, 0].tolist() in ([2, 1, 0, 2], [0, 2, 1, 0])


def test_a_void_value_is_no_class(folder):
    data = load_dataset(str(folder), options={"held_out": 1, "void": 2, "classes": 2})
    assert (data.classes, data.void) == (2, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"held_out": 1, "classes": 2},
            r"masks/a.png: the mask has the class 2, and classes: 2 are 0 to 1; set classes: 3, or void: 2",
        ),
        ({}, "has no test images; say how many to hold out of the 4"),
        ({"held_out": 4}, "held_out is 4; give 1 to 3"),
        ({"held_out": 1, "void": 300}, "void is 300; give a whole number from 0 to 255"),
        ({"held_out": 1, "layout": "NCHW"}, "unknown option of streets 'layout'"),
    ],
)
def test_options_that_do_not_fit_are_refused(folder, options, said):
    with pytest.raises((DataCorrupt, WrongOption), match=said):
        load_dataset(str(folder), options=options)


def unreadable(folder):
    (folder / "images" / "a.png").write_bytes(b"no picture")


def cut_short(folder):
    whole = (folder / "masks" / "a.png").read_bytes()
    (folder / "masks" / "a.png").write_bytes(whole[: len(whole) // 2])


def alone(folder):
    for name in "bcd":
        for kind in ("images", "masks"):
            (folder / kind / f"{name}.png").unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (unreadable, r"images/a.png cannot be read as an image"),
        (cut_short, r"masks/a.png cannot be read as an image"),
        (alone, r"images holds 1 image.*; it needs 2"),
        (lambda folder: (folder / "masks" / "c.png").unlink(), r"images/c.png: .*masks has no file of this name"),
        (lambda folder: (folder / "images" / "c.png").unlink(), r"masks/c.png: .*images has no file of this name"),
        (
            lambda folder: pair(folder, "a", size=(9, 4)),
            "images have different sizes, 9x4 and 6x4 here; set image_size",
        ),
        (
            lambda folder: Image.new("L", (5, 4)).save(folder / "masks" / "a.png"),
            "masks/a.png: the mask is 5x4, and its image 6x4",
        ),
        (lambda folder: pair(folder, "a", mode="RGB"), "a.png is a picture of the kind RGB; a mask has one channel"),
        (
            lambda folder: Image.new("RGB", (6, 4)).save(folder / "images" / "a.bmp"),
            r"images/a.png: a.bmp has the same name",
        ),
    ],
)
def test_files_that_cannot_be_used_are_named(folder, spoil, said):
    spoil(folder)
    with pytest.raises(DataCorrupt, match=said):
        load_dataset(str(folder), options={"held_out": 1})


def test_masks_of_one_class_teach_nothing(tmp_path):
    for name in "ab":
        pair(tmp_path / "s", name, classes=1)
    with pytest.raises(DataCorrupt, match="all pixels of the masks are of class 0"):
        load_dataset(str(tmp_path / "s"), options={"held_out": 1})


def test_void_is_of_masks_alone(tmp_path):
    for name in "ab":
        (tmp_path / "c" / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "c" / name / "0.png")
    with pytest.raises(WrongOption, match="c: void is of masks"):
        load_dataset(str(tmp_path / "c"), options={"held_out": 1, "void": 1})
