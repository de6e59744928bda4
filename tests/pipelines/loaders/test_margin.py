"""Stored images with a margin: a shift uncovers it, and without one the middle is shown."""

import numpy as np
import pytest
import torch

from bench.pipelines.augment import Augment
from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.errors import WrongOption
from bench.pipelines.loader import Placement
from bench.pipelines.loaders import make_loader

STORED, MARGIN, SHOWN = 14, 3, 8
PIXELS = np.broadcast_to(np.arange(STORED, dtype=np.uint8)[:, None], (40, 3, STORED, STORED))


@pytest.fixture
def data():
    """Every row of an image has its number as its grey."""
    split = Split(np.ascontiguousarray(PIXELS), np.arange(40) % 2)
    return Dataset("tall", split, split, 2, (0.0,) * 3, (1 / 255,) * 3, official=False, margin_pixels=MARGIN)


def rows_of(name, data, part, **augment):
    """The stored rows that each of 20 images shows, int [20, SHOWN]."""
    place = Placement(torch.device("cpu"))
    (images, _), *_ = make_loader(name, data, part, 20, Augment(**augment), place, seed=0).epoch(0)
    assert images.shape == (20, *data.image_shape)
    return images[:, 0, :, 5].round().int()


def test_a_shift_shows_every_place_of_the_stored_image(data):
    assert data.image_shape == (3, SHOWN, SHOWN)
    rows = rows_of("resident", data, "train", shift_pixels=MARGIN, pad="zero")
    tops = rows[:, 0]
    assert torch.equal(rows, tops[:, None] + torch.arange(SHOWN))
    assert set(tops.tolist()) <= set(range(2 * MARGIN + 1))
    assert len(set(tops.tolist())) > MARGIN


@pytest.mark.parametrize("part", ["train", "test"])
def test_without_a_shift_the_middle_is_shown(data, part):
    assert rows_of("resident", data, part).unique(dim=0).tolist() == [list(range(MARGIN, MARGIN + SHOWN))]


def test_a_smaller_shift_uses_a_part_of_the_margin_and_a_larger_one_mirrors_its_end(data):
    assert rows_of("resident", data, "train", shift_pixels=1)[:, 0].unique().tolist() == [2, 3, 4]
    rows = rows_of("resident", data, "train", shift_pixels=5)
    assert set(rows.flatten().tolist()) <= set(range(STORED))
    assert (rows[:, 0] > rows[:, 1]).any()  # it begins among the mirrored rows: 2, 1, 0, 1, …


def test_a_loader_that_would_show_the_margin_refuses_it(data):
    with pytest.raises(WrongOption, match="tall is cropped, which this loader does not do; write loader: resident"):
        rows_of("torch", data, "train")
