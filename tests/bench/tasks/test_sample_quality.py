"""Generated images beside real ones whose kinds are known: dark ones and bright ones."""

import numpy as np
import pytest
import torch

from bench.pipelines.dataset import Dataset
from bench.tasks.sample_quality import SampleScore, chosen
from tests.bench.tasks.brightness import judge
from tests.bench.tasks.conftest import pictures

CPU = torch.device("cpu")


def by_class(count, seed):
    """Pictures sorted by class, as those of a folder are."""
    mixed = pictures(count, seed)
    return mixed.take(np.argsort(mixed.labels, kind="stable"))


@pytest.fixture
def data():
    return Dataset("sorted", by_class(128, 0), by_class(64, 1), 2, (0.5,), (0.25,), official=None)


def score(data, count=32, nearest=8):
    return SampleScore(judge(), data, count, nearest, CPU)


def pixels(split, rows):
    return torch.from_numpy(split.images[rows]).float() / 255


def test_all_kinds_of_a_set_that_is_sorted_by_class_are_compared(data):
    both, dark = (
        score(data).figures(pixels(pictures(32, 2), slice(None))),
        score(data).figures(pixels(data.test, slice(32))),
    )
    assert both["frechet_distance"] < 0.2 < dark["frechet_distance"]
    assert (both["class_coverage"], dark["class_coverage"]) == (1.0, 0.5)


def test_what_real_images_reach_is_told_with_it(data):
    found = score(data, count=64).figures(pixels(data.test, slice(None)))
    assert found["frechet_distance"] == pytest.approx(0, abs=1e-5)
    assert found["training_frechet_distance"] < 0.2
    assert found["nearest_distance"] == pytest.approx(found["held_out_nearest_distance"])
    assert found["nearest_distance"] > 0.01


def test_images_learnt_by_heart_are_at_no_distance(data):
    found = score(data).figures(pixels(data.train, slice(40)))
    assert found["nearest_distance"] == pytest.approx(0, abs=1e-3)
    assert found["held_out_nearest_distance"] > 0.01


@pytest.mark.parametrize(("there", "count", "expected"), [(5, 5, 5), (3, 9, 3), (1000, 50, 50)])
def test_as_many_are_chosen_each_once_in_order_and_always_the_same(there, count, expected):
    numbers = chosen(there, count)
    assert len(numbers) == len(set(numbers)) == expected
    assert sorted(numbers) == list(numbers)
    assert numbers.max() < there
    assert list(numbers) == list(chosen(there, count))


def test_those_chosen_are_of_all_parts_of_a_set():
    assert all(np.isin(np.arange(10), chosen(1000, 100) // 100))
