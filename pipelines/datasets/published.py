"""Published data sets: their files, checksums, and loading."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.datasets import cache
from bench.pipelines.datasets.address import Address
from bench.pipelines.datasets.catalog import DatasetInfo, Location
from bench.pipelines.datasets.fetch import fetch
from bench.pipelines.datasets.npz import read_npz
from bench.pipelines.errors import DataCorrupt, DataMissing, PipelineError, WrongOption

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Download:
    """A file that the publisher offers for download."""

    name: str
    md5: str
    size_bytes: int


class Form(Protocol):
    """One form in which a data set is published."""

    @property
    def name(self) -> str: ...

    @property
    def downloads(self) -> tuple[Download, ...]: ...

    def find(self, folder: Path) -> Path | None:
        """The file or folder inside `folder` that this form can read, or None."""

    def files(self, path: Path) -> tuple[Path, ...]:
        """The files that `read` would open."""

    def read(self, path: Path, info: DatasetInfo) -> tuple[Split, Split, bool]:
        """Train, test, and whether every byte matched the publisher's checksum. Raises DataCorrupt."""


@dataclass(frozen=True)
class PublishedSet:
    """The description of a published data set. The first of `forms` is the one that is fetched.

    `mean` and `std` are constants of the published training pixels, independent of a user's file. `fingerprint` is the
    `Dataset.fingerprint` of the published set if it is known.
    """

    info: DatasetInfo
    mean: tuple[float, ...]
    std: tuple[float, ...]
    base_url: str
    forms: tuple[Form, ...]
    fingerprint: str | None = None

    def dataset(self, train: Split, test: Split, *, official: bool) -> Dataset:
        return Dataset(self.info.name, train, test, self.info.classes, self.mean, self.std, official)


@dataclass(frozen=True)
class Source:
    """Where a data set was found; `form` is None for a plain .npz."""

    path: Path
    form: Form | None
    root: Path

    @property
    def files(self) -> tuple[Path, ...]:
        return self.form.files(self.path) if self.form else (self.path,)


def search_roots(data_dir: Path | None) -> tuple[Path, ...]:
    """The folders searched, in order: `data_dir`, $BENCH_DATA, data/."""
    named = [data_dir, os.environ.get("BENCH_DATA") or None, "data"]
    return tuple(dict.fromkeys(Path(root).expanduser().absolute() for root in named if root is not None))


def find(published: PublishedSet, roots: Iterable[Path]) -> Source | None:
    """The first of: a plain .npz, then every published form, in a root or in its subfolder of the set's name.

    Raises WrongOption for a root that is a file, PipelineError for one that cannot be read.
    """
    name = published.info.name
    try:
        for root in roots:
            if root.is_file():
                raise WrongOption(f"{root} is a file; name the folder that holds it.")
            for folder in (root, root / name):
                npz = folder / f"{name}.npz"
                if npz.is_file():
                    return Source(npz, None, root)
                for form in published.forms:
                    path = form.find(folder)
                    if path is not None:
                        return Source(path, form, root)
    except OSError as error:
        raise PipelineError(f"Cannot look for {name} in {error.filename}: {error.strerror}.") from error
    return None


def locate(published: PublishedSet, data_dir: Path | None) -> Location | None:
    """Where `load` would find it; None if it would have to download. Nothing is loaded."""
    roots = search_roots(data_dir)
    name = published.info.name
    source = find(published, roots)
    if source is None:
        for folder in cache.folders(roots, name):
            description = cache.describe(folder, name, files=None)
            if description is not None:
                path = cache.npz_path(folder, name)
                return Location(name, path, "cache", description.official, path.stat().st_size)
        return None
    size_bytes = sum(size for size, _ in cache.stamp(source.files).values())
    if source.form is None:
        unknown_or_no = None if published.fingerprint else False  # without a fingerprint nothing can match
        return Location(name, source.path, "npz", unknown_or_no, size_bytes)
    described = (cache.describe(folder, name, source.files) for folder in cache.folders((source.root,), name))
    official = next((description.official for description in described if description), None)
    return Location(name, source.path, source.form.name, official, size_bytes)


def load(
    published: PublishedSet, data_dir: Path | None, *, download: bool = True, progress: Progress | None = None
) -> Dataset:
    """Load the data set from where it is found, else from its publisher.

    Raises DataMissing if it is not here and cannot be fetched, DataCorrupt if a file is not what its name says, and
    PipelineError if a folder cannot be read or written.
    """
    roots = search_roots(data_dir)
    source = find(published, roots)
    if source is None:
        kept = _from_cache(published, roots, files=None)
        if kept is not None:
            return kept
        if not download:
            raise DataMissing(_remedy(published, roots, "It was not to be downloaded."))
        source = _download(published, roots, progress)
    if source.form is None:
        return _from_npz(published, source.path)
    return _from_cache(published, (source.root,), source.files) or _convert(published, source, source.form, progress)


def _from_npz(published: PublishedSet, path: Path) -> Dataset:
    train, test = read_npz(path, published.info)
    return _checked(published, published.dataset(train, test, official=False))


def _from_cache(published: PublishedSet, roots: Iterable[Path], files: tuple[Path, ...] | None) -> Dataset | None:
    for folder in cache.folders(roots, published.info.name):
        kept = cache.read(folder, published.info, files)
        if kept is not None:
            description, train, test = kept
            dataset = published.dataset(train, test, official=description.official)
            if dataset.fingerprint == description.fingerprint:
                return _checked(published, dataset)
    return None


def _checked(published: PublishedSet, dataset: Dataset) -> Dataset:
    """The data set marked as official only if the published fingerprint, where known, matches."""
    if published.fingerprint is None or dataset.official == (dataset.fingerprint == published.fingerprint):
        return dataset
    return published.dataset(dataset.train, dataset.test, official=not dataset.official)


def _convert(published: PublishedSet, source: Source, form: Form, progress: Progress | None) -> Dataset:
    info = published.info
    files = cache.stamp(source.files)  # before reading: a file that changes meanwhile makes the cache stale
    if progress:
        progress(f"reading {source.path.name}", 0, None)
    train, test, official = form.read(source.path, info)
    if (len(train), len(test)) != (info.train_count, info.test_count):
        raise DataCorrupt(
            f"{source.path} holds {len(train):,} train and {len(test):,} test images; "
            f"{info.name} has {info.train_count:,} and {info.test_count:,}."
        )
    dataset = _checked(published, published.dataset(train, test, official=official))
    if progress:
        progress(f"caching {info.name}", 0, None)
    cache.write(cache.folders((source.root,), info.name), dataset, files, source.path)
    return dataset


def _download(published: PublishedSet, roots: tuple[Path, ...], progress: Progress | None) -> Source:
    base = Address.of(os.environ.get("BENCH_DATA_URL") or published.base_url, "$BENCH_DATA_URL")
    folder = roots[0] / published.info.name
    for file in published.forms[0].downloads:
        target = folder / file.name
        if target.exists():  # an earlier, interrupted run fetched some of the files
            continue
        try:
            fetch(base.file(file.name), target, md5=file.md5, size_bytes=file.size_bytes, progress=progress)
        except DataMissing as error:
            raise DataMissing(_remedy(published, roots, str(error))) from error
    source = find(published, roots)
    if source is None:
        raise DataMissing(_remedy(published, roots, f"It was fetched into {folder}, but is no longer there."))
    return source


def _remedy(published: PublishedSet, roots: Iterable[Path], reason: str) -> str:
    name = published.info.name
    files = "\n".join(
        f"    {file.name}  MD5 {file.md5}  {file.size_bytes / 1e6:.1f} MB"
        for form in published.forms
        for file in form.downloads
    )
    return (
        f"{name} is not on this machine. {reason}\n"
        f"  Put a published form, or your own {name}.npz (train_x, train_y, test_x, test_y), into one of\n"
        + "\n".join(f"    {root / name}" for root in roots)
        + f"\n  or set $BENCH_DATA to the folder that has it. Published ({published.base_url}):\n{files}\n"
        "  `make bench` needs neither data nor network: it trains on embedded digits."
    )
