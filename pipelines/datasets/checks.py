"""Checks of the bytes and arrays of a data set."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.pipelines.dataset import Split
from bench.pipelines.datasets.catalog import DatasetInfo
from bench.pipelines.errors import DataCorrupt, PipelineError


def md5_of(content: bytes) -> str:
    """The MD5, which publishers state; it identifies a file but does not protect against forgery."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def read_bytes(path: Path) -> bytes:
    """The whole file. Raises PipelineError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise PipelineError(f"Cannot read {path}: {error.strerror}.") from error


def verify_md5(content: bytes, md5: str, where: str) -> None:
    """Raises DataCorrupt unless `content` has this MD5; `where` names it in the message."""
    found = md5_of(content)
    if found != md5:
        raise DataCorrupt(
            f"{where} is not the published file: {len(content):,} bytes with MD5 {found}, expected {md5}. "
            "Delete it to have the published one fetched again, or replace it by hand."
        )


def checked_split(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.integer], info: DatasetInfo, where: str
) -> Split:
    """A split whose arrays fit each other and the data set.

    Images must be uint8 [N, *info.image_shape], labels integers [N] in 0..classes-1, N at least 1.
    Raises DataCorrupt naming `where` and what does not fit.
    """
    channels, height, width = info.image_shape
    wanted = f"uint8 [N, {channels}, {height}, {width}]"
    if images.dtype != np.uint8 or images.shape[1:] != info.image_shape or images.ndim != 4:
        hint = " (channels come first: transpose)" if images.shape[1:] == (height, width, channels) else ""
        raise DataCorrupt(f"{where}: images are {images.dtype} {list(images.shape)}, not {wanted}{hint}.")
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise DataCorrupt(f"{where}: labels are {labels.dtype} {list(labels.shape)}, not integers [N].")
    if len(images) != len(labels) or len(images) == 0:
        raise DataCorrupt(
            f"{where}: {len(images):,} images and {len(labels):,} labels; want as many, and one at least."
        )
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= info.classes:
        raise DataCorrupt(f"{where}: labels run from {lowest} to {highest}; {info.name} has 0..{info.classes - 1}.")
    return Split(np.ascontiguousarray(images), labels.astype(np.int64))
