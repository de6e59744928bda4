"""Data sets by name: which exist, where they are, and loading them.

A user's own data set is named by the path of an .npz or of a folder of images, or as `path/to/file.py:Name`; see `own`.

Importing this is cheap; the first call of `load_dataset` or `locate` imports numpy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bench.pipelines.datasets import own
from bench.pipelines.datasets.catalog import COUNTS, DATASETS, ONLY_CLASS, DatasetInfo, Location
from bench.pipelines.datasets.options import check_options

if TYPE_CHECKING:
    from bench.pipelines.dataset import Dataset

__all__ = ["DATASETS", "DatasetInfo", "Location", "check_options", "describe", "load_dataset", "locate"]


def load_dataset(
    name: str,
    *,
    data_dir: Path | None = None,
    options: Mapping[str, object] = MappingProxyType({}),
    download: bool = True,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Dataset:
    """The data set `name`, from `data_dir`, $BENCH_DATA or data/, else downloaded into the first of these.

    $BENCH_DATA_URL replaces the publisher's address by a mirror's. `progress` is called with a description, the bytes
    done, and the bytes in all (None: unknown). Raises WrongOption for an unknown name or option, DataMissing if the
    data is not here and cannot be fetched, DataCorrupt if a file is not what its name says, PipelineError if a folder
    cannot be read or written.
    """
    if own.is_path(name):
        return own.load_file(Path(name), options)
    found = DATASETS.find(name)
    if name not in DATASETS:
        return own.load_code(found, options)
    made: Any = found.load()
    if name in ("random", "human_numbers"):
        generated: Dataset = made(options)
        return generated
    check_options(name, options)
    if sources := DATASETS[name].made_from:
        parts = [load_dataset(source, data_dir=data_dir, download=download, progress=progress) for source in sources]
        dataset: Dataset = made(*parts, options)
    elif callable(made):
        dataset = made()
    else:
        from bench.pipelines.datasets.published import load

        dataset = load(made, data_dir, download=download, progress=progress)
    only_class = options.get(ONLY_CLASS)
    if isinstance(only_class, int):
        dataset = dataset.of_class(only_class)
    counts = {key: count for key in COUNTS if isinstance(count := options.get(key), int)}
    if counts:
        dataset = dataset.first(**counts)
    held_out = options.get("held_out")
    return dataset.holding_out(held_out) if isinstance(held_out, int) else dataset


def locate(name: str, data_dir: Path | None = None) -> Location | None:
    """Where `load_dataset` would find it without a download; None if it would need one.

    Reads only a few bytes. Raises WrongOption for an unknown name.
    """
    if own.is_path(name):
        return own.locate_file(Path(name))
    found = DATASETS.find(name)
    if name not in DATASETS:
        return Location(name, found.own.file if found.own else None, "made by code", official=None, size_bytes=0)
    if name == "random":
        return Location(name, None, "made from a seed", official=False, size_bytes=0)
    if name == "human_numbers":
        return Location(name, None, "made by code", official=True, size_bytes=0)
    if name == "digits":
        return Location(name, None, "embedded in scikit-learn", official=True, size_bytes=0)
    if sources := DATASETS[name].made_from:
        return _locate_parts(name, [locate(source, data_dir) for source in sources])
    from bench.pipelines.datasets.published import locate as locate_published

    return locate_published(found.load(), data_dir)


def _locate_parts(name: str, parts: list[Location | None]) -> Location | None:
    """Where that lies of which `name` is made; None if a part would have to be downloaded."""
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return None
    official = {part.official for part in found}
    form = f"made from {' and '.join(part.name for part in found)}"
    size_bytes = sum(part.size_bytes for part in found)
    return Location(name, found[0].path, form, official.pop() if len(official) == 1 else None, size_bytes)


def describe(name: str, options: Mapping[str, object] = MappingProxyType({})) -> DatasetInfo:
    """The facts about a data set with these options; a user's own is loaded for this, once."""
    if name in DATASETS:
        return DATASETS[name]
    data = _loaded(name, json.dumps(dict(options), sort_keys=True))
    return DatasetInfo(
        data.name, data.name, data.image_shape, data.classes, train_count=len(data.train), test_count=len(data.test)
    )


@lru_cache(maxsize=1)
def _loaded(name: str, options: str) -> Dataset:
    return load_dataset(name, options=json.loads(options))
