"""The data sets by name, as users and the harness load them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.pipelines.datasets import DATASETS, load_dataset, locate
from bench.pipelines.datasets import digits as digits_module
from bench.pipelines.errors import DataCorrupt, DataMissing, WrongOption

SMALL = {"shape": [1, 4, 5], "classes": 3, "train_count": 7, "test_count": 2}


def test_the_names_are_known_without_numpy() -> None:
    check = "import sys, bench.pipelines.datasets as d; print(*d.DATASETS, *({'numpy', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    published, made = (
        ["cifar10", "cifar100", "mnist", "digits"],
        ["pasted_digits", "damaged_cifar10", "mnist_recoloured"],
    )
    assert done.stdout.split() == [*published, "human_numbers", *made, "random"]


def test_an_unknown_name_gets_the_nearest() -> None:
    for call in (load_dataset, locate):
        with pytest.raises(UsageError, match=r"unknown data set 'cifar-10' \(did you mean 'cifar10'"):
            call("cifar-10")


def test_options_of_random_data_are_no_one_elses() -> None:
    with pytest.raises(WrongOption, match=r"unknown option of digits data 'seed'; there are: held_out"):
        load_dataset("digits", options={"seed": 1})


class TestHeldOut:
    def test_the_last_training_images_take_the_place_of_the_test_images(self) -> None:
        whole, cut = load_dataset("digits"), load_dataset("digits", options={"held_out": 200})
        assert (cut.name, cut.official) == ("digits-held-out-200", False)
        assert cut.fingerprint != whole.fingerprint
        for part in ("images", "labels"):
            both = np.concatenate([getattr(cut.train, part), getattr(cut.test, part)])
            assert np.array_equal(both, getattr(whole.train, part))
        assert len(cut.test) == 200

    @pytest.mark.parametrize("count", [0, -1, 1437, 10**9, True, 2.0, "200"])
    def test_what_leaves_nothing_is_refused(self, count: object) -> None:
        with pytest.raises(WrongOption, match=r"digits: held_out is .*give"):
            load_dataset("digits", options={"held_out": count})


class TestFirstImages:
    def test_only_the_first_of_each_split_are_left(self) -> None:
        whole, cut = load_dataset("digits"), load_dataset("digits", options={"train_count": 300, "test_count": 50})
        assert (cut.name, cut.official) == ("digits-first-300-50", False)
        for split, count in (("train", 300), ("test", 50)):
            few, all_of_them = getattr(cut, split), getattr(whole, split)
            assert np.array_equal(few.images, all_of_them.images[:count])
            assert np.array_equal(few.labels, all_of_them.labels[:count])

    def test_one_class_alone_is_another_data_set_with_the_classes_of_all(self) -> None:
        whole, ones = load_dataset("digits"), load_dataset("digits", options={"only_class": 3, "train_count": 50})
        assert set(ones.train.labels) == set(ones.test.labels) == {3}
        assert np.array_equal(ones.train.images, whole.train.images[whole.train.labels == 3][:50])
        assert (ones.classes, ones.official, ones.name) == (10, False, "digits-class-3-first-50-" + str(len(ones.test)))
        with pytest.raises(WrongOption, match="only_class is 10; give a whole number from 0 to 9"):
            load_dataset("digits", options={"only_class": 10})

    def test_held_out_images_are_the_last_of_those(self) -> None:
        cut = load_dataset("digits", options={"train_count": 300, "held_out": 100})
        assert (len(cut.train), len(cut.test)) == (200, 100)
        assert np.array_equal(cut.test.images, load_dataset("digits").train.images[200:300])

    @pytest.mark.parametrize("options", [{"train_count": 1438}, {"test_count": 361}, {"test_count": 0}])
    def test_more_than_there_are_is_refused(self, options: dict[str, int]) -> None:
        with pytest.raises(WrongOption, match=r"digits: t.*_count is .*give"):
            load_dataset("digits", options=options)


@pytest.mark.parametrize("name", ["digits", "random"])
def test_facts_and_data_agree(name: str) -> None:
    info, dataset = DATASETS[name], load_dataset(name)
    assert dataset.image_shape == info.image_shape
    assert (len(dataset.train), len(dataset.test)) == (info.train_count, info.test_count)
    assert dataset.classes == info.classes
    place = locate(name)
    assert place is not None
    assert place.official is dataset.official
    scaled = dataset.train.images[:5000] / np.float32(255)
    np.testing.assert_allclose(scaled.mean((0, 2, 3)), dataset.mean, atol=1e-3)
    np.testing.assert_allclose(scaled.std((0, 2, 3)), dataset.std, atol=1e-3)


class TestDigits:
    def test_every_class_is_in_both_splits_and_no_image_is_in_two(self) -> None:
        digits = load_dataset("digits")
        assert np.bincount(digits.test.labels).tolist() == [36] * 10
        assert np.bincount(digits.train.labels).min() >= 138
        images = np.concatenate([digits.train.images, digits.test.images]).reshape(1797, -1)
        assert len(np.unique(images, axis=0)) == 1797
        assert (images.min(), images.max()) == (0, 255)

    def test_they_are_scikit_learns(self) -> None:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        whole = {image.tobytes(): label for image, label in zip(bunch.images / 16, bunch.target, strict=True)}
        digits = load_dataset("digits")
        for split in (digits.train, digits.test):
            for image, label in zip(split.images[:, 0], split.labels, strict=True):
                assert whole[(np.round(image / 255 * 16) / 16).tobytes()] == label

    def test_another_content_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = np.loadtxt(digits_module._embedded_file(), delimiter=",", dtype=np.uint8)
        rows[100, 3] ^= 1
        changed = tmp_path / "digits.csv"
        np.savetxt(changed, rows, delimiter=",", fmt="%d")
        monkeypatch.setattr(digits_module, "_embedded_file", lambda: changed)
        with pytest.raises(DataCorrupt, match="fingerprint"):
            load_dataset("digits")

    @pytest.mark.parametrize("content", ["1,2,3\n", "a,b\n", "1,2\n3\n"])
    def test_a_damaged_file_is_corrupt(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
        damaged = tmp_path / "digits.csv"
        damaged.write_text(content)
        monkeypatch.setattr(digits_module, "_embedded_file", lambda: damaged)
        with pytest.raises(DataCorrupt, match=r"digits\.csv"):
            load_dataset("digits")


class TestRandom:
    def test_the_seed_makes_the_data(self) -> None:
        def fingerprint(**options: object) -> str:
            return load_dataset("random", options={**SMALL, **options}).fingerprint

        assert fingerprint(seed=1) == fingerprint(seed=1)
        assert fingerprint(seed=1) != fingerprint(seed=2)
        assert fingerprint() == fingerprint(seed=0)

    @given(st.tuples(*[st.integers(1, 9)] * 3), st.integers(2, 300), st.integers(1, 40), st.integers(1, 40))
    def test_any_shape_and_count(
        self, shape: tuple[int, int, int], classes: int, train_count: int, test_count: int
    ) -> None:
        options = {"shape": shape, "classes": classes, "train_count": train_count, "test_count": test_count}
        dataset = load_dataset("random", options=options)
        assert dataset.image_shape == shape
        assert (len(dataset.train), len(dataset.test)) == (train_count, test_count)
        assert dataset.train.labels.max() < classes == dataset.classes
        assert len(dataset.mean) == len(dataset.std) == shape[0]
        assert not dataset.official

    def test_nothing_can_be_learnt_from_it_and_it_says_so(self) -> None:
        assert [info.name for info in DATASETS.values() if not info.learnable] == ["random"]

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"train_cout": 5}, "did you mean 'train_count'"),
            ({"shape": [3, 32]}, r"shape is \[3, 32\]"),
            ({"shape": "3x32x32"}, "give .channels, height, width."),
            ({"shape": [3, 0, 32]}, "shape is 0"),
            ({"classes": 1}, "classes is 1; give a whole number from 2"),
            ({"classes": True}, "classes is True"),
            ({"train_count": 1.5}, "train_count is 1.5"),
            ({"test_count": 0}, "test_count is 0"),
            ({"seed": -1}, "seed is -1"),
            ({"shape": [8192, 8192, 8192]}, "GB, more than the memory of this machine"),
        ],
    )
    def test_wrong_options_are_said(self, options: dict[str, object], said: str) -> None:
        with pytest.raises(WrongOption, match=said):
            load_dataset("random", options=options)


def test_data_that_is_nowhere_is_missing(tmp_path: Path) -> None:
    assert locate("cifar100", tmp_path) is None
    with pytest.raises(DataMissing, match="eb9058c3a382ffc7106e4002c42a8d85"):
        load_dataset("cifar100", data_dir=tmp_path, download=False)


def test_the_real_cifar10(real_data_dir: Path) -> None:
    began_s = time.perf_counter()
    cifar10 = load_dataset("cifar10", data_dir=real_data_dir, download=False)
    print(f"cifar10 loaded in {time.perf_counter() - began_s:.2f} s")
    assert np.bincount(cifar10.train.labels).tolist() == [5000] * 10
    assert np.bincount(cifar10.test.labels).tolist() == [1000] * 10
    assert cifar10.image_shape == (3, 32, 32)
    sample = cifar10.train.images[::7] / np.float32(255)
    np.testing.assert_allclose(sample.mean((0, 2, 3)), cifar10.mean, atol=5e-3)
    np.testing.assert_allclose(sample.std((0, 2, 3)), cifar10.std, atol=5e-3)


def test_the_real_mnist_is_the_official_one(real_data_dir: Path) -> None:
    mnist = load_dataset("mnist", data_dir=real_data_dir, download=False)
    assert mnist.official
    scaled = mnist.train.images[::7] / np.float32(255)  # not each tenth: the writers filled in forms of ten
    np.testing.assert_allclose([scaled.mean()], mnist.mean, atol=3e-3)
    np.testing.assert_allclose([scaled.std()], mnist.std, atol=3e-3)
