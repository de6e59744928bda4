"""Images a second of the loaders side by side, at CIFAR-10's size, with the speedrun recipe's augmentation.

Run with `pytest tests/benchmarks/test_loaders.py --benchmark-only`; the table at the end is the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.pipelines.augment import Augment
from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.errors import PartMissing
from bench.pipelines.loader import Placement, usable_cores
from bench.pipelines.loaders import LOADERS, make_loader
from bench.training.device import Device

BATCH_SIZE = 512
AUGMENT = Augment("random", shift_pixels=2, pad="zero", cutout_pixels=12)
NATIVE = "ffcv, native"


@pytest.fixture(scope="module")
def dataset(request: pytest.FixtureRequest) -> Dataset:
    """CIFAR-10 where this machine has it, else random pixels of its size: the work is the same."""
    Device("cpu")  # memory is kept as in a worker, for all loaders alike
    from bench.pipelines.datasets import load_dataset

    try:
        return load_dataset("cifar10", data_dir=request.getfixturevalue("real_data_dir"), download=False)
    except pytest.skip.Exception:
        random = np.random.default_rng(0)
        train, test = (
            Split(random.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8), random.integers(0, 10, count))
            for count in (50_000, 10_000)
        )
        return Dataset("random", train, test, 10, (0.49, 0.48, 0.45), (0.25, 0.24, 0.26), official=False)


@pytest.fixture(scope="module")
def images_per_s(request: pytest.FixtureRequest) -> Iterator[dict[str, float]]:
    """The best round of each loader, printed as a table in the end."""
    rates: dict[str, float] = {}
    yield rates
    if not rates:
        return
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n\n{'loader':<14}{'images/s':>10}{'of torch':>10}   {torch.get_num_threads()} torch threads")
        for name, rate in sorted(rates.items(), key=lambda item: -item[1]):
            print(f"{name:<14}{rate:>10,.0f}{rate / rates.get('torch', float('nan')):>10.1f}")


def measure(
    name: str,
    epoch: Callable[[int], Iterator[tuple[torch.Tensor, torch.Tensor]]],
    benchmark: BenchmarkFixture,
    images_per_s: dict[str, float],
) -> None:
    """Draw three epochs after a warm-up, with nothing done to the batches."""
    counts: list[int] = []

    def draw() -> None:
        counts.append(sum(len(labels) for _, labels in epoch(len(counts))))

    benchmark.pedantic(draw, rounds=3, warmup_rounds=0)
    images_per_s[name] = counts[0] / benchmark.stats.stats.min
    benchmark.extra_info["images_per_s"] = images_per_s[name]


# Those of images and labels.
@pytest.mark.parametrize("name", [name for name in LOADERS if name not in ("tokens", "pairs", "unpaired")])
def test_an_epoch(
    name: str, dataset: Dataset, benchmark: BenchmarkFixture, images_per_s: dict[str, float], tmp_path: Path
) -> None:
    place = Placement(torch.device("cpu"))
    try:
        loader = make_loader(name, dataset, "train", BATCH_SIZE, AUGMENT, place, seed=0, cache=tmp_path)
    except PartMissing as missing:
        pytest.skip(str(missing))
    with loader:
        loader.warm_up()
        measure(name, loader.epoch, benchmark, images_per_s)


def test_an_epoch_of_ffcvs_own_augmentation(
    dataset: Dataset, benchmark: BenchmarkFixture, images_per_s: dict[str, float], tmp_path: Path
) -> None:
    """The reference: as ffcv's users write it, all compiled and on all cores; a seed does not repeat it."""
    try:
        from bench.pipelines.ffcv_compat import BetonLoader, DatasetWriter, IntDecoder, IntField, ToTensor
    except PartMissing as missing:
        pytest.skip(str(missing))
    from ffcv.fields import RGBImageField
    from ffcv.fields.rgb_image import SimpleRGBImageDecoder
    from ffcv.loader import OrderOption
    from ffcv.transforms import Cutout, NormalizeImage, RandomHorizontalFlip, RandomTranslate, ToTorchImage

    beton = str(tmp_path / "native.beton")
    pairs = [
        (image.transpose(1, 2, 0), int(label))
        for image, label in zip(dataset.train.images, dataset.train.labels, strict=True)
    ]
    fields = {"image": RGBImageField(), "label": IntField()}
    DatasetWriter(beton, fields, num_workers=usable_cores()).from_indexed_dataset(pairs)
    mean, std = 255 * np.array(dataset.mean), 255 * np.array(dataset.std)
    image = [
        SimpleRGBImageDecoder(),
        RandomHorizontalFlip(),
        RandomTranslate(AUGMENT.shift_pixels, tuple(mean.astype(int).tolist())),
        Cutout(AUGMENT.cutout_pixels, tuple(mean.astype(int).tolist())),
        NormalizeImage(mean, std, np.float32),
        ToTensor(),
        ToTorchImage(),
    ]
    label = [IntDecoder(), ToTensor()]
    loader = BetonLoader(
        beton,
        BATCH_SIZE,
        num_workers=usable_cores(),
        order=OrderOption.RANDOM,
        pipelines={"image": image, "label": label},
    )
    for _ in loader:  # compiles
        pass
    measure(NATIVE, lambda _: iter(loader), benchmark, images_per_s)
