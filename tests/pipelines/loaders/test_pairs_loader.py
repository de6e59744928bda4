"""Images and their targets, shifted and mirrored alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.pipelines.augment import Augment
from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.errors import WrongOption
from bench.pipelines.loader import Placement
from bench.pipelines.loaders import make_loader

CPU = Placement(torch.device("cpu"))
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (30, 3, 8, 10), np.uint8)
GEOMETRY = Augment(flip="random", shift_pixels=2)


def loader(targets, split="train", augment=GEOMETRY, name="pairs"):
    one = Split(PIXELS, np.arange(30), targets)
    data = Dataset("pairs", one, one, 256, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), official=False)
    return make_loader(name, data, split, 10, augment, CPU, seed=3)


def test_a_mask_is_moved_as_its_image():
    # The mask is the first channel, so that both can be compared after any crop.
    with loader(PIXELS[:, 0]) as made:
        batches = list(made.epoch(1))
    assert len(batches) == 3
    for images, masks in batches:
        assert masks.dtype == torch.int64
        assert torch.equal((images[:, 0] * 0.2 + 0.4).mul(255).round().long(), masks)


def test_a_target_image_is_moved_and_normalised_as_its_image():
    with loader(PIXELS) as made:
        for images, targets in made.epoch(1):
            assert targets.is_contiguous(memory_format=torch.channels_last)
            assert torch.equal(images, targets)


def test_a_test_split_is_as_it_is_in_order():
    with loader(255 - PIXELS, "test") as made:
        images, targets = (torch.cat(parts) for parts in zip(*made.epoch(0), strict=True))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)))
    assert torch.allclose(images * std + mean, torch.from_numpy(PIXELS) / 255, atol=1e-6)
    assert torch.allclose(targets * std + mean, 1 - torch.from_numpy(PIXELS) / 255, atol=1e-6)


def test_colours_may_change_of_an_image_whose_target_is_classes_alone():
    changing = Augment(flip="random", brightness=0.2, contrast=0.1, cutout_pixels=2)
    with loader(PIXELS[:, 0], augment=changing) as made:
        images, masks = next(iter(made.epoch(0)))
    assert not torch.allclose(images[:, 0] * 0.2 + 0.4, masks / 255)
    with pytest.raises(WrongOption, match=r"augment.cutout_pixels: changes an image and not the image"):
        loader(PIXELS, augment=changing)


@pytest.mark.parametrize(
    ("targets", "name", "said"),
    [
        (None, "pairs", "loader: pairs has no targets; write loader: resident"),
        (PIXELS, "resident", "loader: pairs has targets; write loader: pairs"),
        (PIXELS, "torch", "loader: pairs has targets; write loader: pairs"),
    ],
)
def test_the_loader_goes_with_the_data(targets, name, said):
    with pytest.raises(WrongOption, match=said):
        loader(targets, name=name)
