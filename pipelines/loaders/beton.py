"""Betons, ffcv's files: written once for a split, and reused only if they contain exactly its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.files import replacing
from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.errors import DataCorrupt, PipelineError
from bench.pipelines.ffcv_compat import (
    ALLOC_TABLE_TYPE,
    DatasetWriter,
    IntField,
    MemoryAllocator,
    NDArrayField,
    Reader,
)

# ffcv's own smallest and largest, in bytes; a page holds whole images.
_SMALLEST_PAGE, _LARGEST_PAGE = 1 << 21, 1 << 31
_CHECKED_AT_ONCE = 4096


def beton_of(dataset: Dataset, split: Split, split_name: str, folder: Path) -> Path:
    """The split's beton in `folder`, written if it does not exist.

    Raises DataCorrupt if a file of its name holds other or damaged data, PipelineError if it cannot be
    written.
    """
    path = folder / f"{dataset.name}-{split_name}-{dataset.fingerprint[:16]}.beton"
    if path.exists():
        check(path, split)
    else:
        write(path, split)
    return path


def write(path: Path, split: Split) -> None:
    """Write images as uint8 [H, W, C] and labels as int64, atomically."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            _fill(str(draft), split)
    except OSError as error:
        raise PipelineError(
            f"Cannot write {path}, which needs {split.images.nbytes / 1e6:,.0f} MB: {error.strerror}. "
            "Free some space, or choose another folder."
        ) from error


def check(path: Path, split: Split) -> None:
    """Raise DataCorrupt unless the beton has exactly the split's images and labels, in their order."""
    if not path.is_file():
        raise _not_the_data(path, "it is no regular file")
    try:
        reader = Reader(str(path))
        pixels = np.memmap(path, mode="r")
    except Exception as error:  # the parser of a damaged file may raise anything
        raise _not_the_data(path, "its header cannot be read") from error
    shape = _image_shape(split)
    image_bytes = int(np.prod(shape))
    image_field = reader.handlers.get("image")
    if not isinstance(image_field, NDArrayField) or tuple(image_field.shape) != shape:
        raise _not_the_data(path, f"it does not hold images of {shape[0]}x{shape[1]} pixels")
    if len(reader.metadata) != len(split):
        raise _not_the_data(path, f"it holds {len(reader.metadata)} images, not {len(split)}")
    first_bytes = reader.metadata["f0"]
    expected = np.zeros(len(split), ALLOC_TABLE_TYPE)
    expected["sample_id"], expected["ptr"], expected["size"] = np.arange(len(split)), first_bytes, image_bytes
    # ffcv's decoder trusts these numbers and would read past the end of the file.
    if not np.array_equal(reader.alloc_table, expected) or first_bytes.max() + image_bytes > len(pixels):
        raise _not_the_data(path, "it is truncated or damaged")
    if not np.array_equal(reader.metadata["f1"], split.labels):
        raise _not_the_data(path, "its labels differ")
    stored = np.lib.stride_tricks.sliding_window_view(pixels, image_bytes)
    for start in range(0, len(split), _CHECKED_AT_ONCE):
        part = slice(start, start + _CHECKED_AT_ONCE)
        images = split.images[part].transpose(0, 2, 3, 1).reshape(-1, image_bytes)
        if not np.array_equal(stored[first_bytes[part]], images):
            raise _not_the_data(path, "its pixels differ")


def _fill(path: str, split: Split) -> None:
    """Write with ffcv's components, in this process.

    ffcv's `from_indexed_dataset` forks workers and waits for their count of images. If a worker dies, for instance
    because of a full disk, it waits forever.
    """
    shape = _image_shape(split)
    image_field = NDArrayField(np.dtype("uint8"), shape)
    page_bytes = _SMALLEST_PAGE
    while page_bytes < 4 * np.prod(shape) and page_bytes < _LARGEST_PAGE:
        page_bytes *= 2
    writer = DatasetWriter(path, {"image": image_field, "label": IntField()}, page_bytes, num_workers=1)
    writer.num_samples = len(split)
    writer.prepare()
    try:
        allocator = MemoryAllocator(path, writer.data_region_start, page_bytes)
        metadata = np.zeros(len(split), writer.metadata_type)
        metadata["f1"] = split.labels
        with allocator:
            for index, image in enumerate(split.images):
                allocator.set_current_sample(index)
                image_field.encode(metadata["f0"][index : index + 1], image.transpose(1, 2, 0), allocator.malloc)
        writer.metadata_sm.buf[: metadata.nbytes] = metadata.tobytes()
        writer.finalize(allocator.allocations)
    finally:
        writer.metadata_sm.close()
        writer.metadata_sm.unlink()


def _image_shape(split: Split) -> tuple[int, int, int]:
    channels, height, width = split.images.shape[1:]
    return height, width, channels


def _not_the_data(path: Path, why: str) -> DataCorrupt:
    return DataCorrupt(f"{path} is not the beton of this data: {why}. Delete it, and it is written anew.")
