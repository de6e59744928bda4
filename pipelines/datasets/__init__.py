"""Data sets by name: what there is, where it lies, and getting it into memory.

Importing this is cheap; numpy comes with the first call of `load_dataset` or `locate`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from bench.pipelines.datasets.catalog import COUNTS, DATASETS, DatasetInfo, Location
from bench.pipelines.datasets.options import check_options
from bench.pipelines.errors import WrongOption

if TYPE_CHECKING:
    from bench.pipelines.dataset import Dataset
    from bench.pipelines.datasets.published import PublishedSet

__all__ = ["DATASETS", "DatasetInfo", "Location", "check_options", "load_dataset", "locate"]


def load_dataset(
    name: str,
    *,
    data_dir: Path | None = None,
    options: Mapping[str, object] = MappingProxyType({}),
    download: bool = True,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Dataset:
    """The data set `name`, from `data_dir`, $BENCH_DATA or data/, else downloaded into the first of these.

    $BENCH_DATA_URL replaces the publisher's address by a mirror's. `progress` is called with what is being
    done, bytes done, and bytes in all (None: unknown). Raises WrongOption for an unknown name or option,
    DataMissing where the data is neither here nor to be had, DataCorrupt where a file is not what its name
    says, PipelineError where a folder cannot be read or written.
    """
    info = _info(name)
    if name == "random":
        from bench.pipelines.datasets.random_data import load_random

        return load_random(options)
    if name == "human_numbers":
        from bench.pipelines.datasets.human_numbers import load_human_numbers

        return load_human_numbers(options)
    check_options(info, options)
    if name == "digits":
        from bench.pipelines.datasets.digits import load_digits

        dataset = load_digits()
    else:
        from bench.pipelines.datasets.published import load

        dataset = load(_published(name), data_dir, download=download, progress=progress)
    counts = {key: count for key in COUNTS if isinstance(count := options.get(key), int)}
    if counts:
        dataset = dataset.first(**counts)
    held_out = options.get("held_out")
    return dataset.holding_out(held_out) if isinstance(held_out, int) else dataset


def locate(name: str, data_dir: Path | None = None) -> Location | None:
    """Where `load_dataset` would take it from without a download; None where it would need one.

    Nothing is read but a few bytes. Raises WrongOption for an unknown name.
    """
    _info(name)
    if name == "random":
        return Location(name, None, "made from a seed", official=False, size_bytes=0)
    if name == "human_numbers":
        return Location(name, None, "made by code", official=True, size_bytes=0)
    if name == "digits":
        return Location(name, None, "embedded in scikit-learn", official=True, size_bytes=0)
    from bench.pipelines.datasets.published import locate as locate_published

    return locate_published(_published(name), data_dir)


def _info(name: str) -> DatasetInfo:
    if name not in DATASETS:
        raise WrongOption.unknown("data set", name, DATASETS)
    return DATASETS[name]


def _published(name: str) -> PublishedSet:
    from bench.pipelines.datasets.cifar import CIFAR10, CIFAR100
    from bench.pipelines.datasets.mnist import MNIST

    return {"cifar10": CIFAR10, "cifar100": CIFAR100, "mnist": MNIST}[name]
