"""CIFAR-10 and CIFAR-100 as published: a binary and a Python archive, or their extracted folders."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.pipelines.dataset import Split
from bench.pipelines.datasets.catalog import DATASETS, DatasetInfo
from bench.pipelines.datasets.checks import checked_split, read_bytes, verify_md5
from bench.pipelines.datasets.pickles import load_arrays
from bench.pipelines.datasets.published import Download, PublishedSet
from bench.pipelines.errors import DataCorrupt

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer]]


def parse_binary(content: bytes, where: str, *, label_bytes: int) -> Arrays:
    """Images uint8 [N, 3, 32, 32] and labels [N] of records of `label_bytes` labels and 3,072 pixels.

    The last label byte counts: CIFAR-100 has the coarse label before the fine one. Raises DataCorrupt
    unless the file is a whole number of records.
    """
    record_bytes = label_bytes + _PIXELS
    if not content or len(content) % record_bytes:
        raise DataCorrupt(f"{where} has {len(content):,} bytes: not a whole number of {record_bytes:,}-byte records.")
    records = np.frombuffer(content, np.uint8).reshape(-1, record_bytes)
    return records[:, label_bytes:].reshape(-1, *_SHAPE), records[:, label_bytes - 1]


def parse_python(content: bytes, where: str, *, label_key: str) -> Arrays:
    """Images uint8 [N, 3, 32, 32] and labels [N] of a pickled batch. Only for content whose MD5 matched.

    Raises DataCorrupt for a pickle that is anything but a dictionary of such arrays.
    """
    batch = load_arrays(content, where)
    pixels, labels = batch.get("data"), batch.get(label_key)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (_PIXELS,):
        raise DataCorrupt(f"{where}: 'data' is not a uint8 array [N, {_PIXELS}].")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise DataCorrupt(f"{where}: {label_key!r} is not a list of integers.")
    try:
        return pixels.reshape(-1, *_SHAPE), np.array(labels, dtype=np.int64)
    except OverflowError as error:
        raise DataCorrupt(f"{where}: {label_key!r} has a label beyond all bounds.") from error


@dataclass(frozen=True)
class CifarForm:
    """An archive or its extracted folder. `train` and `test` map files to MD5s, None if unknown.

    With `needs_checksum`, a file without a matching MD5 is never parsed.
    """

    name: str
    archive: Download
    folder: str
    train: Mapping[str, str | None]
    test: Mapping[str, str | None]
    parse: Callable[[bytes, str], Arrays]
    needs_checksum: bool = False

    @property
    def downloads(self) -> tuple[Download, ...]:
        return (self.archive,)

    def find(self, folder: Path) -> Path | None:
        candidates = (folder / self.archive.name, folder / self.folder)
        return next((path for path in candidates if path.exists()), None)

    def files(self, path: Path) -> tuple[Path, ...]:
        return tuple(path / name for name in (*self.train, *self.test)) if path.is_dir() else (path,)

    def read(self, path: Path, info: DatasetInfo) -> tuple[Split, Split, bool]:
        """As `Form.read`. The archive's members are read by expected name; nothing is extracted."""
        known = {**self.train, **self.test}
        if path.is_dir():
            contents = {name: read_bytes(path / name) for name in known}
            for name, md5 in known.items():
                if md5 is not None:
                    verify_md5(contents[name], md5, str(path / name))
            verified = None not in known.values()
        else:
            archive = read_bytes(path)
            verify_md5(archive, self.archive.md5, str(path))
            contents = _members(archive, self.folder, known.keys(), str(path))
            verified = True
        if self.needs_checksum and not verified:
            raise DataCorrupt(f"{path} has files without a known checksum; they are not opened. Use the archive.")

        def split(names: Mapping[str, object]) -> Split:
            parsed = [self.parse(contents.pop(name), f"{path}/{name}") for name in names]
            images, labels = zip(*parsed, strict=True)
            return checked_split(np.concatenate(images), np.concatenate(labels), info, str(path))

        return split(self.train), split(self.test), verified


def _members(archive: bytes, folder: str, names: Iterable[str], where: str) -> dict[str, bytes]:
    wanted = {f"{folder}/{name}": name for name in names}
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isreg() and member.name in wanted else None
                if file is not None:
                    contents[wanted[member.name]] = file.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataCorrupt(f"{where} cannot be unpacked: {error}.") from error
    missing = [member for member, name in wanted.items() if name not in contents]
    if missing:
        raise DataCorrupt(f"{where} has no {', '.join(missing)}.")
    return contents


_URL = "https://www.cs.toronto.edu/~kriz/"

CIFAR10 = PublishedSet(
    info=DATASETS["cifar10"],
    mean=(0.4914, 0.48216, 0.44653),
    std=(0.24703, 0.24349, 0.26159),
    base_url=_URL,
    forms=(
        CifarForm(
            name="binary",
            archive=Download("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171),
            folder="cifar-10-batches-bin",
            train={f"data_batch_{number}.bin": None for number in range(1, 6)},
            test={"test_batch.bin": None},
            parse=partial(parse_binary, label_bytes=1),
        ),
        CifarForm(
            name="python",
            archive=Download("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a", 170_498_071),
            folder="cifar-10-batches-py",
            train={
                "data_batch_1": "c99cafc152244af753f735de768cd75f",
                "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
                "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
                "data_batch_4": "634d18415352ddfa80567beed471001a",
                "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            },
            test={"test_batch": "40351d587109b95175f43aff81a1287e"},
            parse=partial(parse_python, label_key="labels"),
            needs_checksum=True,
        ),
    ),
)

CIFAR100 = PublishedSet(
    info=DATASETS["cifar100"],
    mean=(0.50708, 0.48655, 0.44092),
    std=(0.26733, 0.25644, 0.27615),
    base_url=_URL,
    forms=(
        CifarForm(
            name="binary",
            archive=Download("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", 168_513_733),
            folder="cifar-100-binary",
            train={"train.bin": None},
            test={"test.bin": None},
            parse=partial(parse_binary, label_bytes=2),
        ),
        CifarForm(
            name="python",
            archive=Download("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85", 169_001_437),
            folder="cifar-100-python",
            train={"train": "16019d7e3df5f24257cddd939b257f8d"},
            test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
            parse=partial(parse_python, label_key="fine_labels"),
            needs_checksum=True,
        ),
    ),
)
