"""A folder of images, a folder a class: as torchvision's ImageFolder has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from bench.pipelines.dataset import Split
from bench.pipelines.datasets.own.arrays import Splits
from bench.pipelines.errors import DataCorrupt, WrongOption

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
TEST_NAMES = ("test", "val", "valid", "validation")
# The folders of two domains without pairs, by their names in the sets that were published with CycleGAN.
DOMAINS = ("A", "B")
GREY = ("1", "L")
SHOWN = 5


def read(folder: Path, image_size: int | None) -> Splits:
    """The images of FOLDER/CLASS/*.png, or of FOLDER/train/CLASS and FOLDER/test/CLASS (or val); classes by name.

    Or those of FOLDER/trainA and FOLDER/trainB, and testA and testB if they are there: two classes, A and B.

    With `image_size` each is cropped to a square from its middle, and resized to so many pixels. Images are in grey
    where all are, else in RGB. Raises DataCorrupt for a folder without classes, images of different sizes, and a file
    that is no image.
    """
    folders, of_test = _class_folders(folder)
    train, test = _files(folders), None if of_test is None else _files(of_test)
    classes = sorted(train)
    grey = all_grey(_every(train)) and (test is None or all_grey(_every(test)))
    return Splits(
        _split(train, classes, image_size, grey), _split(test, classes, image_size, grey) if test is not None else None
    )


def check_image_size(folder: Path, image_size: int | None) -> None:
    if image_size is not None and (type(image_size) is not int or image_size < 1):
        raise WrongOption(f"{folder.name}: image_size is {image_size!r}; give a whole number of pixels, 1 or more")


def sizes(folder: Path, image_size: Any, crop: Any) -> tuple[int | None, int]:
    """The pixels of a side to which images are resized, and how many of them lie on each side of a crop.

    Raises WrongOption for numbers that are no sizes, and where the crop has no middle.
    """
    check_image_size(folder, image_size)
    if crop is None:
        return image_size, 0
    if image_size is None:
        raise WrongOption(f"{folder.name}: crop needs image_size, the size that is cropped, as in image_size: 286")
    if type(crop) is not int or not 1 <= crop <= image_size or (image_size - crop) % 2:
        kind, least = ("an even", 2) if image_size % 2 == 0 else ("an odd", 1)
        raise WrongOption(
            f"{folder.name}: crop is {crop!r}; give {kind} number from {least} to {image_size}, the image_size, so "
            "that equally many pixels are left on either side"
        )
    return image_size, (image_size - crop) // 2


def _class_folders(folder: Path) -> tuple[dict[str, Path], dict[str, Path] | None]:
    """The folder of each class, by name, of the training and of the test images; None where these are not apart."""
    if domains := _domains(folder, "train"):
        return domains, _domains(folder, "test") or None
    if not (folder / "train").is_dir():
        return _classes(folder), None
    tests = [folder / name for name in TEST_NAMES if (folder / name).is_dir()]
    train, test = _classes(folder / "train"), _classes(tests[0]) if tests else None
    if test is not None and (odd := sorted(set(test) ^ set(train))[:SHOWN]):
        raise DataCorrupt(f"{folder}: classes {', '.join(odd)} are in one of train and {tests[0].name} alone.")
    return train, test


def _domains(folder: Path, split: str) -> dict[str, Path]:
    """The folders of both domains of this split, by name; empty without them."""
    found = {name: folder / f"{split}{name}" for name in DOMAINS if (folder / f"{split}{name}").is_dir()}
    if len(found) == 1:
        (lacking,) = set(DOMAINS) - set(found)
        there = next(iter(found))
        raise DataCorrupt(f"{folder} holds {split}{there}, but no {split}{lacking}; give both, or neither.")
    return found


def _classes(folder: Path) -> dict[str, Path]:
    """The folder of each class, by name."""
    names = sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    if len(names) < 2:
        there = f"only the folder {names[0]}" if names else "no folders"
        raise DataCorrupt(f"{folder} holds {there}; it needs a folder of images for each class, two at least.")
    return {name: folder / name for name in names}


def _files(folders: dict[str, Path]) -> dict[str, list[Path]]:
    """The images of each class."""
    found = {
        name: sorted(path for path in folder.rglob("*") if is_image_name(path)) for name, folder in folders.items()
    }
    if empty := [name for name, files in found.items() if not files]:
        raise DataCorrupt(f"{folders[empty[0]]} holds no image; {', '.join(SUFFIXES)} are read.")
    return found


def is_image_name(path: Path) -> bool:
    """Whether its name is an image's, and not that of what macOS lays beside one on other file systems (`._x.jpg`)."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith("._")


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
