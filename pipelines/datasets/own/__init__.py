"""Data of a user's own: an .npz, a folder of images, a function or a torch data set.

Importing this is cheap; what reads comes with the first call.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.pipelines.datasets.catalog import Location
from bench.pipelines.errors import DataCorrupt, DataMissing, WrongOption
from bench.registry.reference import is_path

if TYPE_CHECKING:
    from bench.pipelines.dataset import Dataset
    from bench.pipelines.datasets.own.arrays import Splits
    from bench.registry.registry import Found

# Options of every own data set; `layout` is of arrays, `image_size` and `crop` of folders, `void` of masks.
COUNTS = ("held_out", "train_count", "test_count")
OPTIONS = ("classes", *COUNTS)
NPZ_OPTIONS = (*OPTIONS, "layout")
FOLDER_OPTIONS = (*OPTIONS, "image_size", "crop", "void")


def load_file(path: Path, options: Mapping[str, Any]) -> Dataset:
    """The data of an .npz, of a folder of images, or of images and masks, which may hold the splits as train and test.

    Raises DataMissing where nothing is there, WrongOption for an option, DataCorrupt for data that cannot be used.
    """
    from bench.pipelines.datasets.own import folder, masks, npz

    check_options(path, options)
    if path.suffix == ".npz":
        _check_there(path, path.is_file())
        return _finished(path.stem, npz.read(path, options.get("layout")), options)
    _check_there(path, path.is_dir())
    if masks.has_masks(path):
        if "crop" in options:
            raise WrongOption(f"{path.name}: images with masks are not cropped; leave crop out")
        return _finished(path.name, masks.read(path, options), options)
    if "void" in options:
        raise WrongOption(f"{path.name}: void is of masks, and the folder has none; see docs/generative.md")
    image_size, margin = folder.sizes(path, options.get("image_size"), options.get("crop"))
    return replace(_finished(path.name, folder.read(path, image_size), options), margin_pixels=margin)


def load_code(found: Found, options: Mapping[str, Any]) -> Dataset:
    """The data that a user's function returns, or of her torch data set. Raises `UsageError` for an error in it."""
    from bench.pipelines.datasets.own import code

    splits, ours = code.read(found, options)
    return _finished(found.attribute, splits, ours)


def check_options(path: Path, options: Mapping[str, Any]) -> None:
    """Raise WrongOption for an option that data of this path does not have."""
    allowed = NPZ_OPTIONS if path.suffix == ".npz" else FOLDER_OPTIONS
    for key in options:
        if key not in allowed:
            raise WrongOption.unknown(f"option of {path.name}", key, allowed)


def locate_file(path: Path) -> Location | None:
    """Where the data of a path lies; None where nothing is there."""
    if path.is_file():
        return Location(path.name, path, "npz", official=None, size_bytes=path.stat().st_size)
    if not path.is_dir():
        return None
    size_bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return Location(path.name, path, "folder of images", official=None, size_bytes=size_bytes)


def content_sha256(path: Path) -> str:
    """What tells the data of a path from other data before it is loaded, wherever it lies.

    Of an .npz the names, sizes and check sums of its arrays, of a folder the names and sizes of its files. Raises
    DataMissing where nothing is there.
    """
    _check_there(path, path.is_file() if path.suffix == ".npz" else path.is_dir())
    digest = hashlib.sha256()
    if path.is_dir():
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                file = Path(folder) / name
                digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\n".encode(errors="replace"))
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                for each in archive.infolist():
                    digest.update(f"{each.filename}\0{each.file_size}\0{each.CRC}\n".encode())
        except (OSError, zipfile.BadZipFile) as error:
            raise DataCorrupt(f"{path} is not a readable .npz: {error}.") from None
    return digest.hexdigest()


def _check_there(path: Path, is_there: bool) -> None:
    if not is_there:
        kind = "file" if path.suffix == ".npz" else "folder"
        raise DataMissing(f"There is no {kind} {path}; a recipe's data is looked for from the recipe's own folder.")


def _finished(name: str, splits: Splits, options: Mapping[str, Any]) -> Dataset:
    """The data set of both splits, named by what it holds, so that other data never counts as the same task."""
    from bench.pipelines.datasets.own.arrays import dataset_of

    counts = {key: options[key] for key in COUNTS if key in options}
    dataset = dataset_of(name, splits, options.get("classes"), counts, options.get("void"))
    return replace(dataset, name=f"{name}-{dataset.fingerprint[:8]}")


__all__ = ["check_options", "content_sha256", "is_path", "load_code", "load_file", "locate_file"]
