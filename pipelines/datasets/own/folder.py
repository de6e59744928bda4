"""A folder of images, a folder a class: as torchvision's ImageFolder has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from bench.pipelines.dataset import Split
from bench.pipelines.datasets.own.arrays import Splits
from bench.pipelines.errors import DataCorrupt, WrongOption

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
TEST_NAMES = ("test", "val", "valid", "validation")
GREY = ("1", "L")
SHOWN = 5


def read(folder: Path, image_size: int | None) -> Splits:
    """The images of FOLDER/CLASS/*.png, or of FOLDER/train/CLASS and FOLDER/test/CLASS (or val); classes by name.

    With `image_size` each is cropped to a square from its middle, and resized to so many pixels. Images are in grey
    where all are, else in RGB. Raises DataCorrupt for a folder without classes, images of different sizes, and a file
    that is no image.
    """
    check_image_size(folder, image_size)
    tests = [folder / name for name in TEST_NAMES if (folder / name).is_dir()]
    if not (folder / "train").is_dir():
        files = _files(folder)
        return Splits(_split(files, sorted(files), image_size, all_grey(_every(files))), None)
    train, test = _files(folder / "train"), _files(tests[0]) if tests else None
    classes = sorted(train)
    if test is not None and sorted(test) != classes:
        odd = sorted(set(test) ^ set(train))[:SHOWN]
        raise DataCorrupt(f"{folder}: the classes {', '.join(odd)} are in one of train and {tests[0].name} alone.")
    grey = all_grey(_every(train)) and (test is None or all_grey(_every(test)))
    return Splits(
        _split(train, classes, image_size, grey), _split(test, classes, image_size, grey) if test is not None else None
    )


def check_image_size(folder: Path, image_size: int | None) -> None:
    if image_size is not None and (type(image_size) is not int or image_size < 1):
        raise WrongOption(f"{folder.name}: image_size is {image_size!r}; give a whole number of pixels, 1 or more")


def _files(folder: Path) -> dict[str, list[Path]]:
    """The images of each class."""
    names = sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    found = {
        name: sorted(path for path in (folder / name).rglob("*") if path.suffix.lower() in SUFFIXES) for name in names
    }
    if len(found) < 2:
        there = f"only the folder {names[0]}" if names else "no folders"
        raise DataCorrupt(f"{folder} holds {there}; it needs a folder of images for each class, two at least.")
    if empty := [name for name, files in found.items() if not files]:
        raise DataCorrupt(f"{folder / empty[0]} holds no image; {', '.join(SUFFIXES)} are read.")
    return found


def all_grey(paths: Iterable[Path]) -> bool:
    return all(open_image(path).mode in GREY for path in paths)


def _split(files: dict[str, list[Path]], classes: list[str], image_size: int | None, grey: bool) -> Split:
    paths = list(_every(files))
    labels = [label for label, name in enumerate(classes) for _ in files[name]]
    first = pixels_of(paths[0], image_size, grey)
    images = np.empty((len(paths), *first.shape), np.uint8)
    for row, path in enumerate(paths):
        pixels = pixels_of(path, image_size, grey)
        if pixels.shape != first.shape:
            sizes = f"{first.shape[2]}x{first.shape[1]} in {paths[0].name} and {pixels.shape[2]}x{pixels.shape[1]}"
            raise DataCorrupt(
                f"{path}: images have different sizes, {sizes} here; set image_size, as in image_size: 64."
            )
        images[row] = pixels
    return Split(images, np.array(labels, np.int64))


def _every(files: dict[str, list[Path]]) -> Iterator[Path]:
    for name in sorted(files):
        yield from files[name]


def pixels_of(path: Path, image_size: int | None, grey: bool) -> npt.NDArray[np.uint8]:
    """uint8 [C, H, W]. Raises DataCorrupt for a file that is no image."""
    image = open_image(path)
    if image.mode.startswith(("I", "F")):
        raise DataCorrupt(f"{path} has more than 8 bits a pixel ({image.mode}); convert it to 8.")
    try:
        image = image.convert("L" if grey else "RGB")
    except Exception as error:  # PIL's readers raise what their format makes them stumble over
        raise DataCorrupt(f"{path} cannot be read as an image: {error}.") from None
    if image_size is not None:
        image = ImageOps.fit(image, (image_size, image_size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.uint8)
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


def open_image(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except Exception as error:
        raise DataCorrupt(f"{path} cannot be read as an image: {error}.") from None
