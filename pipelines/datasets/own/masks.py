"""A folder of images and masks: images/NAME.jpg and masks/NAME.png, whose pixel values are the classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from bench.pipelines.dataset import Split
from bench.pipelines.datasets.own.arrays import Splits
from bench.pipelines.datasets.own.folder import (
    SUFFIXES,
    TEST_NAMES,
    all_grey,
    check_image_size,
    is_image_name,
    open_image,
    pixels_of,
)
from bench.pipelines.errors import DataCorrupt, WrongOption

IMAGES, MASKS = "images", "masks"
# Masks with one number a pixel: grey, or indices of a palette.
INDEXED = ("1", "L", "P")
LEAST_IMAGES = 2
HIGHEST = 255


def has_masks(folder: Path) -> bool:
    """Whether the folder, or its folder train, holds the folder masks."""
    return (folder / MASKS).is_dir() or (folder / "train" / MASKS).is_dir()


def read(folder: Path, options: Mapping[str, Any]) -> Splits:
    """The images and masks of FOLDER, or of FOLDER/train and FOLDER/test (or val), in the order of their names.

    With `image_size` each is cropped to a square from its middle, and resized to so many pixels, a mask by its nearest
    pixels. Raises DataCorrupt for an image without a mask, a mask of another size, of several channels or with a class
    beyond `classes`, images of different sizes, a file that is no image, and a training split of one image.
    """
    check_image_size(folder, options.get("image_size"))
    for key, lowest in (("classes", 2), ("void", 0)):
        value = options.get(key)
        if value is not None and (type(value) is not int or not lowest <= value <= HIGHEST):
            raise WrongOption(f"{folder.name}: {key} is {value!r}; give a whole number from {lowest} to {HIGHEST}")
    if (folder / MASKS).is_dir():
        return Splits(_split(folder, options, LEAST_IMAGES), None)
    tests = [folder / name for name in TEST_NAMES if (folder / name / MASKS).is_dir()]
    train = _split(folder / "train", options, LEAST_IMAGES)
    return Splits(train, _split(tests[0], options, 1) if tests else None)


def _split(folder: Path, options: Mapping[str, Any], least: int) -> Split:
    images, masks = _by_name(folder / IMAGES), _by_name(folder / MASKS)
    if odd := sorted(images.keys() ^ masks.keys()):
        has, lacks = (images, MASKS) if odd[0] in images else (masks, IMAGES)
        raise DataCorrupt(f"{has[odd[0]]}: {folder / lacks} has no file of this name.")
    if len(images) < least:
        raise DataCorrupt(f"{folder / IMAGES} holds {len(images)} images; it needs {least} at least.")
    size, grey = options.get("image_size"), all_grey(images.values())
    pixels: list[npt.NDArray[np.uint8]] = []
    targets: list[npt.NDArray[np.uint8]] = []
    for name, path in sorted(images.items()):
        image, mask = pixels_of(path, size, grey), _classes_of(masks[name], options)
        if mask.shape != image.shape[1:]:
            raise DataCorrupt(f"{masks[name]}: the mask is {_size(mask)}, and its image {_size(image)}.")
        if pixels and image.shape != pixels[0].shape:
            raise DataCorrupt(
                f"{path}: images have different sizes, {_size(pixels[0])} and {_size(image)} here; set image_size, as "
                "in image_size: 64."
            )
        pixels.append(image)
        targets.append(mask)
    return Split(np.stack(pixels), np.zeros(len(pixels), np.int64), np.stack(targets))


def _by_name(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataCorrupt(f"There is no folder {folder}; images and masks lie in {IMAGES} and {MASKS}, by equal names.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if is_image_name(path) and (other := found.setdefault(path.stem, path)) != path:
            raise DataCorrupt(f"{path}: {other.name} has the same name, so that one of the two would be left out.")
    if not found:
        raise DataCorrupt(f"{folder} holds no image; {', '.join(SUFFIXES)} are read.")
    return found


def _classes_of(path: Path, options: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """The mask, uint8 [H, W]."""
    image, size, classes, void = open_image(path), *map(options.get, ("image_size", "classes", "void"))
    if image.mode not in INDEXED:
        raise DataCorrupt(
            f"{path} is a picture of the kind {image.mode}; a mask has one channel of 8 bits, whose values are classes."
        )
    try:
        image.load()
    except Exception as error:  # PIL's readers raise what their format makes them stumble over
        raise DataCorrupt(f"{path} cannot be read as an image: {error}.") from None
    mask = np.asarray(image, np.uint8)  # a bitmap's pixels are 0 and 1
    if size is not None:
        mask = np.asarray(ImageOps.fit(Image.fromarray(mask), (size, size), Image.Resampling.NEAREST))
    highest = int(mask[mask != void].max(initial=0))
    if classes is not None and highest >= classes:
        raise DataCorrupt(
            f"{path}: the mask has the class {highest}, and classes: {classes} are 0 to {classes - 1}; set classes: "
            f"{highest + 1}, or void: {highest} if it is none."
        )
    return mask


def _size(pixels: npt.NDArray[np.uint8]) -> str:
    return f"{pixels.shape[-1]}x{pixels.shape[-2]}"
