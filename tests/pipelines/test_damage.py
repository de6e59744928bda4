"""Damage to an image, and that it is the same each time."""

import numpy as np
import pytest

from bench.pipelines.damage import Damage

GRADIENT = np.stack([np.add.outer(np.arange(0, 256, 4), np.arange(0, 256, 4)) // 2] * 3).astype(np.uint8)
STRIPES = np.zeros((3, 64, 64), np.uint8)
STRIPES[:, :, ::2] = 255


def test_shrinking_averages_what_is_finer_than_its_pixels():
    shrunk = Damage(pixels=32).apply(STRIPES, (0,))
    assert shrunk.shape == STRIPES.shape
    assert np.abs(shrunk.astype(int) - 127).max() < 40
    assert np.abs(Damage(pixels=32).apply(GRADIENT, (0,)).astype(int) - GRADIENT).max() < 10


def test_jpeg_of_a_lower_quality_is_further_away():
    high, low = (
        np.abs(Damage(jpeg=(quality, quality)).apply(STRIPES, (0,)).astype(int) - STRIPES).mean() for quality in (95, 5)
    )
    assert 0 <= high < low


def test_a_number_changes_a_few_pixels_and_leaves_the_others():
    grey = np.full((3, 64, 64), 128, np.uint8)
    changed = [(Damage(number=True).apply(grey, (0, index)) != grey).any(axis=0) for index in range(20)]
    shares = [one.mean() for one in changed]
    assert 0.01 < np.mean(shares) < 0.15
    places = {tuple(np.argwhere(one).min(axis=0)) for one in changed if one.any()}
    assert len(places) > 15


def test_the_key_alone_decides():
    damage = Damage(pixels=24, number=True, jpeg=(10, 70))
    first, again, other = (damage.apply(GRADIENT, key) for key in ((0, 1, 5), (0, 1, 5), (0, 1, 6)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("shape", [(3, 33, 47), (3, 8, 8), (3, 5, 90)])
def test_images_of_any_shape_keep_it(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert Damage(pixels=4, number=True, jpeg=(10, 70)).apply(image, (0,)).shape == shape


def test_its_label_says_what_it_does():
    assert Damage(16, jpeg=(10, 70)).label == "16px-jpeg10-70"
    assert Damage(number=True).label == "number"
