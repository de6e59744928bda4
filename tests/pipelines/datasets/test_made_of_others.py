"""Data sets with targets that code makes of MNIST and CIFAR-10."""

from __future__ import annotations

import numpy as np
import pytest

from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.datasets import load_dataset, locate
from bench.pipelines.datasets.damaged_cifar10 import load_damaged_cifar10
from bench.pipelines.datasets.pasted_digits import VOID, load_pasted_digits
from bench.pipelines.errors import WrongOption

STATISTICS = ((0.5,) * 3, (0.25,) * 3)


def made_up(shape: tuple[int, ...], *, count: int = 40) -> Dataset:
    random = np.random.default_rng(0)
    train, test = (Split(random.integers(0, 256, (count, *shape), np.uint8), np.arange(count) % 10) for _ in range(2))
    return Dataset("made-up", train, test, 10, *STATISTICS, official=True)


@pytest.fixture(scope="module")
def grey_digits() -> Dataset:
    """Digits that are a white square in black each, so that what is pasted is known."""
    digits = made_up((1, 28, 28))
    square = np.zeros((28, 28), np.uint8)
    square[8:20, 8:20] = 255
    train, test = (Split(np.broadcast_to(square, s.images.shape).copy(), s.labels) for s in (digits.train, digits.test))
    return Dataset("squares", train, test, 10, (0.1,), (0.3,), official=True)


@pytest.fixture(scope="module")
def photographs() -> Dataset:
    return made_up((3, 32, 32))


class TestPastedDigits:
    def test_pixels_without_a_digit_are_the_photographs(self, grey_digits, photographs):
        data = load_pasted_digits(grey_digits, photographs, {"void": True})
        untouched = (data.train.targets == 0)[:, None] & (data.train.images == photographs.train.images)
        assert untouched.any(axis=1).mean() > 0.5
        assert (data.classes, data.void) == (11, VOID)
        changed = (data.train.images != photographs.train.images).any(axis=1)
        assert changed.mean() > 0.05
        # What has enough ink to be seen is a digit's or void.
        strongly = (np.abs(data.train.images.astype(int) - photographs.train.images) > 100).any(axis=1)
        assert (data.train.targets[strongly] != 0).all()

    def test_every_digit_occurs_and_each_pixel_is_of_a_class(self, grey_digits, photographs):
        targets = load_pasted_digits(grey_digits, photographs, {}).train.targets
        assert set(np.unique(targets)) == set(range(11))

    def test_void_is_a_rim_around_digits(self, grey_digits, photographs):
        plain, void = (load_pasted_digits(grey_digits, photographs, {"void": on}).train for on in (False, True))
        assert np.array_equal(plain.images, void.images)
        at_rim = void.targets == VOID
        assert 0 < at_rim.mean() < (void.targets > 0).mean() / 2
        assert np.array_equal(plain.targets[~at_rim & (void.targets > 0)], void.targets[~at_rim & (void.targets > 0)])

    def test_a_seed_makes_it_and_fewer_images_are_the_first(self, grey_digits, photographs):
        whole, again, few, other = (
            load_pasted_digits(grey_digits, photographs, options)
            for options in ({}, {}, {"train_count": 7}, {"seed": 1})
        )
        assert whole.fingerprint == again.fingerprint != other.fingerprint
        assert np.array_equal(few.train.images, whole.train.images[:7])
        assert np.array_equal(few.train.targets, whole.train.targets[:7])
        assert not np.array_equal(whole.train.targets, whole.test.targets)


class TestDamagedCifar10:
    def test_the_target_is_the_whole_image(self, photographs):
        data = load_damaged_cifar10(photographs, {"pixels": 16, "jpeg": [10, 70], "number": True, "test_count": 5})
        assert np.array_equal(data.train.targets, photographs.train.images)
        assert data.train.images.shape == photographs.train.images.shape
        assert len(data.test) == 5
        assert not np.array_equal(data.train.images, data.train.targets)
        assert data.name == "damaged_cifar10-16px-number-jpeg10-70-0"

    def test_the_seed_is_part_of_it(self, photographs):
        one, same, other = (
            load_damaged_cifar10(photographs, {"number": True, "seed": seed}).fingerprint for seed in (0, 0, 1)
        )
        assert one == same != other


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("damaged_cifar10", {}, "say what the damage is, such as pixels: 16"),
        ("damaged_cifar10", {"pixels": 33}, "pixels is 33; give a whole number from 1 to 32"),
        ("damaged_cifar10", {"jpeg": [70, 10]}, "give the lowest quality first"),
        ("damaged_cifar10", {"jpeg": 50}, "give the lowest and highest quality"),
        ("damaged_cifar10", {"jpeg": [0, 96]}, "jpeg is 0; give a whole number from 1 to 95"),
        ("damaged_cifar10", {"number": 1}, "number is 1; allowed: true or false"),
        ("pasted_digits", {"void": "yes"}, "void is 'yes'; allowed: true or false"),
        ("pasted_digits", {"pixels": 3}, "unknown option of pasted_digits data 'pixels'"),
    ],
)
def test_options_are_checked(name, options, said, photographs, grey_digits):
    make = {
        "damaged_cifar10": lambda: load_damaged_cifar10(photographs, options),
        "pasted_digits": lambda: load_pasted_digits(grey_digits, photographs, options),
    }[name]
    with pytest.raises(WrongOption, match=said):
        make()


def test_of_real_images_they_are_these(real_data_dir):
    options = {"train_count": 300, "test_count": 60}
    pasted = load_dataset("pasted_digits", data_dir=real_data_dir, options=options)
    damaged = load_dataset("damaged_cifar10", data_dir=real_data_dir, options=options | {"pixels": 16})
    assert (len(pasted.train), len(damaged.test)) == (300, 60)
    assert 0.1 < (pasted.train.targets > 0).mean() < 0.4
    assert np.abs(damaged.train.images.astype(int) - damaged.train.targets).mean() < 20
    assert locate("pasted_digits", real_data_dir) is not None


def test_what_is_not_there_is_not_located(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert locate("pasted_digits", tmp_path) is None
