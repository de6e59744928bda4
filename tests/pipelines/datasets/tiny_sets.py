"""Published sets in the official layouts, but with a handful of images and checksums of their own."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
from collections.abc import Mapping
from functools import partial

import numpy as np

from bench.pipelines.dataset import Split
from bench.pipelines.datasets.catalog import DatasetInfo
from bench.pipelines.datasets.cifar import CifarForm, parse_binary, parse_python
from bench.pipelines.datasets.mnist import IdxFile, IdxForm
from bench.pipelines.datasets.published import Download, PublishedSet

INFO = DatasetInfo("cifar10", "a tiny one", image_shape=(3, 32, 32), classes=10, train_count=8, test_count=3)
MNIST_INFO = DatasetInfo("mnist", "a tiny one", image_shape=(1, 28, 28), classes=10, train_count=5, test_count=2)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def random_split(count: int, seed: int, shape: tuple[int, int, int] = (3, 32, 32)) -> Split:
    rng = np.random.default_rng(seed)
    return Split(rng.integers(0, 256, (count, *shape), np.uint8), rng.integers(0, 10, count))


TRAIN, TEST = random_split(8, 1), random_split(3, 2)


def batches() -> dict[str, Split]:
    """Two train batches and a test batch."""
    halves = {
        f"data_batch_{number}": Split(TRAIN.images[at : at + 4], TRAIN.labels[at : at + 4])
        for number, at in ((1, 0), (2, 4))
    }
    return {**halves, "test_batch": TEST}


def binary_batch(split: Split) -> bytes:
    labels = split.labels.astype(np.uint8)[:, None]
    return np.concatenate([labels, split.images.reshape(len(split), -1)], axis=1).tobytes()


def python2_batch(split: Split, label_key: str = "labels") -> bytes:
    """The opcodes that Python 2 wrote for {"data": uint8 array, label_key: list of ints} at protocol 2."""

    def text(value: bytes) -> bytes:
        short = len(value) < 256
        return (b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value))) + value

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    pixels = split.images.reshape(len(split), -1)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + b"K\x00\x85" + text(b"b") + b"\x87R"
        b"(K\x01" + number(pixels.shape[0]) + number(pixels.shape[1]) + b"\x86"
        b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R"
        b"(K\x03" + text(b"|") + b"NNN" + number(-1) + number(-1) + b"K\x00tb"
        b"\x89" + text(pixels.tobytes()) + b"tb"
    )
    labels = b"](" + b"".join(b"K" + bytes([label]) for label in split.labels.tolist()) + b"e"
    items = text(b"data") + array + text(label_key.encode()) + labels
    return b"\x80\x02}(" + items + text(b"batch_label") + text(b"training batch 1 of 5") + b"u."


def tar_gz(members: Mapping[str, bytes]) -> bytes:
    """The same bytes whenever it is called: `mode="w:gz"` would write the time into them, and so their checksum."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return zipped(buffer.getvalue())


def binary_archive() -> bytes:
    return tar_gz({f"cifar-10-batches-bin/{name}.bin": binary_batch(part) for name, part in batches().items()})


def python_archive() -> bytes:
    return tar_gz({f"cifar-10-batches-py/{name}": python2_batch(part) for name, part in batches().items()})


def binary_form(archive: bytes) -> CifarForm:
    return CifarForm(
        name="binary",
        archive=Download("cifar-10-binary.tar.gz", md5(archive), len(archive)),
        folder="cifar-10-batches-bin",
        train={"data_batch_1.bin": None, "data_batch_2.bin": None},
        test={"test_batch.bin": None},
        parse=partial(parse_binary, label_bytes=1),
    )


def python_form(archive: bytes, members: Mapping[str, bytes]) -> CifarForm:
    """`members` are the contents that the checksums of the extracted files vouch for."""
    return CifarForm(
        name="python",
        archive=Download("cifar-10-python.tar.gz", md5(archive), len(archive)),
        folder="cifar-10-batches-py",
        train={name: md5(content) for name, content in members.items() if name != "test_batch"},
        test={"test_batch": md5(members["test_batch"])},
        parse=partial(parse_python, label_key="labels"),
        needs_checksum=True,
    )


def tiny_cifar(*forms: CifarForm, fingerprint: str | None = None) -> PublishedSet:
    """Without forms: the binary archive, then the python one."""
    if not forms:
        members = {name: python2_batch(part) for name, part in batches().items()}
        forms = (binary_form(binary_archive()), python_form(python_archive(), members))
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    return PublishedSet(INFO, mean, std, "http://127.0.0.1:9/", forms, fingerprint)


def idx(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def mnist_files() -> dict[str, bytes]:
    """Raw contents by the name of the gzipped file."""
    train, test = random_split(5, 3, (1, 28, 28)), random_split(2, 4, (1, 28, 28))
    return {
        "train-images-idx3-ubyte.gz": idx(train.images[:, 0]),
        "train-labels-idx1-ubyte.gz": idx(train.labels.astype(np.uint8)),
        "t10k-images-idx3-ubyte.gz": idx(test.images[:, 0]),
        "t10k-labels-idx1-ubyte.gz": idx(test.labels.astype(np.uint8)),
    }


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def tiny_mnist() -> PublishedSet:
    files = [
        IdxFile(Download(name, md5(zipped(raw)), len(zipped(raw))), md5(raw), len(raw))
        for name, raw in mnist_files().items()
    ]
    return PublishedSet(MNIST_INFO, (0.5,), (0.25,), "http://127.0.0.1:9/", (IdxForm(*files),))
