"""The catalogue of data sets: facts for listings and config checks, without importing numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.registry.registry import Registry

# Options that say how many images of each split there are.
COUNTS = ("train_count", "test_count")
ONLY_CLASS = "only_class"


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a data set that are known before it is loaded.

    `image_shape` is (channels, height, width). `learnable` is false if labels are unrelated to pixels, so that there
    can be no target accuracy. `download_bytes` is 0 if nothing is fetched. `options` are those that `load_dataset`
    takes: shape, classes and counts are their defaults, and `held_out` trains without so many training images, which
    then are the test images. Of published images ONLY_CLASS takes those of one label, and COUNTS the first of them.
    `where` is its `PublishedSet`, or the function that makes it, of the data sets `made_from` and the options if there
    are any. `has_targets` says that each image has one: see `pipelines.dataset.Split`.
    """

    name: str
    title: str
    image_shape: tuple[int, int, int]
    classes: int
    train_count: int
    test_count: int
    learnable: bool = True
    download_bytes: int = 0
    options: tuple[str, ...] = ()
    where: str = ""
    is_text: bool = False
    made_from: tuple[str, ...] = ()
    has_targets: bool = False

    def targets_in(self, options: Mapping[str, object]) -> bool:
        """Whether its images have targets with these options."""
        return self.has_targets or "targets" in options

    @property
    def summary(self) -> str:
        return self.title


@dataclass(frozen=True)
class Location:
    """Where a data set is. `path` is None for an embedded or generated one.

    `official` is None until it is checked, which loading does. `size_bytes` is the size on disk.
    """

    name: str
    path: Path | None
    form: str
    official: bool | None
    size_bytes: int


DATASETS = Registry(
    "data set",
    "datasets",
    {
        info.name: info
        for info in (
            DatasetInfo(
                "cifar10",
                "CIFAR-10: 10 kinds of small colour photographs",
                image_shape=(3, 32, 32),
                classes=10,
                train_count=50_000,
                test_count=10_000,
                download_bytes=170_052_171,
                options=("held_out", *COUNTS, ONLY_CLASS),
                where="bench.pipelines.datasets.cifar:CIFAR10",
            ),
            DatasetInfo(
                "cifar100",
                "CIFAR-100: 100 kinds of small colour photographs (fine labels)",
                image_shape=(3, 32, 32),
                classes=100,
                train_count=50_000,
                test_count=10_000,
                download_bytes=168_513_733,
                options=("held_out", *COUNTS, ONLY_CLASS),
                where="bench.pipelines.datasets.cifar:CIFAR100",
            ),
            DatasetInfo(
                "mnist",
                "MNIST: handwritten digits",
                image_shape=(1, 28, 28),
                classes=10,
                train_count=60_000,
                test_count=10_000,
                download_bytes=11_594_722,
                options=("held_out", *COUNTS, ONLY_CLASS),
                where="bench.pipelines.datasets.mnist:MNIST",
            ),
            DatasetInfo(
                "digits",
                "8x8 handwritten digits embedded in scikit-learn; needs no network",
                image_shape=(1, 8, 8),
                classes=10,
                train_count=1_437,
                test_count=360,
                options=("held_out", *COUNTS, ONLY_CLASS),
                where="bench.pipelines.datasets.digits:load_digits",
            ),
            DatasetInfo(
                "human_numbers",
                "1 to 9,999 in words, made by code: a text to predict the next token of",
                image_shape=(1, 1, 20),
                classes=38,
                train_count=2_496,
                test_count=640,
                options=("steps", "streams", "predict"),
                is_text=True,
                where="bench.pipelines.datasets.human_numbers:load_human_numbers",
            ),
            DatasetInfo(
                "pasted_digits",
                "MNIST digits pasted on CIFAR-10 photographs, with the class of each pixel: made by code",
                image_shape=(3, 32, 32),
                classes=11,
                train_count=10_000,
                test_count=2_000,
                download_bytes=181_646_893,
                options=("void", "held_out", *COUNTS, "seed"),
                where="bench.pipelines.datasets.pasted_digits:load_pasted_digits",
                made_from=("mnist", "cifar10"),
                has_targets=True,
            ),
            DatasetInfo(
                "damaged_cifar10",
                "CIFAR-10 photographs shrunk, written over or saved as JPEG, with the whole ones: made by code",
                image_shape=(3, 32, 32),
                classes=10,
                train_count=10_000,
                test_count=2_000,
                download_bytes=170_052_171,
                options=("pixels", "number", "jpeg", "held_out", *COUNTS, "seed"),
                where="bench.pipelines.datasets.damaged_cifar10:load_damaged_cifar10",
                made_from=("cifar10",),
                has_targets=True,
            ),
            DatasetInfo(
                "mnist_recoloured",
                "MNIST, and MNIST in other colours: two domains without pairs, made by code, to translate between",
                image_shape=(3, 28, 28),
                classes=2,
                train_count=60_000,
                test_count=20_000,
                download_bytes=11_594_722,
                options=("to", *COUNTS),
                where="bench.pipelines.datasets.recoloured:load_recoloured",
                made_from=("mnist",),
            ),
            DatasetInfo(
                "random",
                "noise made from a seed, for throughput alone",
                image_shape=(3, 32, 32),
                classes=10,
                train_count=50_000,
                test_count=10_000,
                learnable=False,
                options=("shape", "classes", "targets", *COUNTS, "seed"),
                where="bench.pipelines.datasets.random_data:load_random",
            ),
        )
    },
    own="./folder or ./file.npz by its path, or as path/to/file.py:Name",
)


def is_part(name: str, options: Mapping[str, object]) -> bool:
    """Whether the options ask for only some images of a known data set, whose figures then compare with nothing."""
    return name in DATASETS and any(options.get(key) is not None for key in (*COUNTS, ONLY_CLASS))
