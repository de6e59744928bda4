"""MNIST as published: four idx files, each gzipped or not."""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.pipelines.dataset import Split
from bench.pipelines.datasets.catalog import DATASETS, DatasetInfo
from bench.pipelines.datasets.checks import checked_split, read_bytes, verify_md5
from bench.pipelines.datasets.idx import parse_idx
from bench.pipelines.datasets.published import Download, PublishedSet
from bench.pipelines.errors import DataCorrupt


@dataclass(frozen=True)
class IdxFile:
    """`raw_md5` and `raw_bytes` are of the content: one content can be gzipped in many ways."""

    download: Download
    raw_md5: str
    raw_bytes: int

    def find(self, folder: Path) -> Path | None:
        gzipped = folder / self.download.name
        return next((path for path in (gzipped, gzipped.with_suffix("")) if path.is_file()), None)

    def read(self, folder: Path) -> npt.NDArray[np.uint8]:
        """The array in it. Raises DataCorrupt unless the content is the published one, to the byte."""
        path = self.find(folder)
        if path is None:
            raise DataCorrupt(f"{folder} has no {self.download.name}.")
        content = read_bytes(path)
        if path.suffix == ".gz":
            content = _gunzip(content, self.raw_bytes, str(path))
        verify_md5(content, self.raw_md5, str(path))
        return parse_idx(content, str(path))


def _gunzip(content: bytes, raw_bytes: int, where: str) -> bytes:
    """At most one byte more than expected, so that no file can blow up the memory."""
    try:
        with gzip.open(io.BytesIO(content)) as file:
            return file.read(raw_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataCorrupt(f"{where} cannot be decompressed: {error}.") from error


@dataclass(frozen=True)
class IdxForm:
    """Images and labels of both splits, in one folder."""

    train_images: IdxFile
    train_labels: IdxFile
    test_images: IdxFile
    test_labels: IdxFile
    name: str = "idx files"

    @property
    def _all(self) -> tuple[IdxFile, ...]:
        return (self.train_images, self.train_labels, self.test_images, self.test_labels)

    @property
    def downloads(self) -> tuple[Download, ...]:
        return tuple(file.download for file in self._all)

    def find(self, folder: Path) -> Path | None:
        """`folder`, or MNIST/raw in it (where torchvision puts them), if it has all four files."""
        candidates = (folder, folder / "MNIST" / "raw")
        return next((path for path in candidates if all(file.find(path) for file in self._all)), None)

    def files(self, path: Path) -> tuple[Path, ...]:
        return tuple(file.find(path) or path / file.download.name for file in self._all)

    def read(self, path: Path, info: DatasetInfo) -> tuple[Split, Split, bool]:
        train, test = (
            checked_split(images.read(path)[:, None], labels.read(path), info, str(path))
            for images, labels in (
                (self.train_images, self.train_labels),
                (self.test_images, self.test_labels),
            )
        )
        return train, test, True


MNIST = PublishedSet(
    info=DATASETS["mnist"],
    mean=(0.13066,),
    std=(0.30811,),
    base_url="https://ossci-datasets.s3.amazonaws.com/mnist/",
    forms=(
        IdxForm(
            train_images=IdxFile(
                Download("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
                raw_md5="6bbc9ace898e44ae57da46a324031adb",
                raw_bytes=47_040_016,
            ),
            train_labels=IdxFile(
                Download("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432", 28_881),
                raw_md5="a25bea736e30d166cdddb491f175f624",
                raw_bytes=60_008,
            ),
            test_images=IdxFile(
                Download("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3", 1_648_877),
                raw_md5="2646ac647ad5339dbf082846283269ea",
                raw_bytes=7_840_016,
            ),
            test_labels=IdxFile(
                Download("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c", 4_542),
                raw_md5="27ae3e4e09519cfbb04c329615203637",
                raw_bytes=10_008,
            ),
        ),
    ),
    fingerprint="e0130f111822ed58de3ba94ad450971c80ee446d2ff4d08e2b4c8e8be16eae50",
)
