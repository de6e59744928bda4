"""Two domains, beside one another by chance: images tell by their grey which they are."""

import numpy as np
import pytest
import torch

from bench.pipelines.augment import Augment
from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.errors import DataCorrupt, WrongOption
from bench.pipelines.loader import Placement, Shard
from bench.pipelines.loaders import make_loader


def split(count_a, count_b):
    """A's images are 0, 1, …, and B's 100, 101, …, in an order that mixes the domains."""
    numbers = np.concatenate([np.arange(count_a), 100 + np.arange(count_b)]).astype(np.uint8)
    numbers = numbers[np.random.default_rng(0).permutation(len(numbers))]
    images = np.broadcast_to(numbers[:, None, None, None], (len(numbers), 3, 8, 8))
    return Split(np.ascontiguousarray(images), (numbers >= 100).astype(np.int64))


def dataset(train=(5, 12), test=(4, 3), classes=2):
    return Dataset("two", split(*train), split(*test), classes, (0.0,) * 3, (1 / 255,) * 3, official=False)


def make(data=None, part="train", batch_size=2, name="unpaired", augment=Augment(), seed=0, shard=None):
    place = Placement(torch.device("cpu"))
    return make_loader(name, data or dataset(), part, batch_size, augment, place, seed, shard=shard)


def shown(loader, epoch=0):
    """The numbers of A's and of B's images, in order."""
    batches = list(loader.epoch(epoch))
    assert all(a.shape == b.shape == (len(a), 3, 8, 8) for a, b in batches)
    return [torch.cat(images)[:, 0, 0, 0].round().int().tolist() for images in zip(*batches, strict=True)]


def test_an_epoch_is_as_long_as_the_longer_domain_and_shows_the_other_equally_often():
    loader = make()
    a, b = shown(loader)
    assert loader.steps_per_epoch == 6
    assert sorted(b) == list(range(100, 112))
    assert sorted({number: a.count(number) for number in a}.values()) == [2, 2, 2, 3, 3]
    assert set(a) == set(range(5))


def test_each_epoch_and_seed_puts_others_together_and_can_be_repeated():
    first = shown(make())
    assert shown(make()) == first
    others = [shown(make(), epoch=1), shown(make(seed=1))]
    assert all(list(zip(*other, strict=True)) != list(zip(*first, strict=True)) for other in others)
    assert all(other[1] != first[1] for other in others)


def test_a_test_shows_the_kth_images_together_as_many_as_the_shorter_domain_has():
    loader = make(part="test", batch_size=2)
    in_order = [loader.images.images[rows, 0, 0, 0].tolist() for rows in loader.domains]
    assert shown(loader) == [numbers[:3] for numbers in in_order]
    assert loader.steps_per_epoch == 2


@pytest.mark.parametrize("part", ["train", "test"])
def test_shards_together_show_what_one_loader_shows(part):
    whole = shown(make(part=part, batch_size=4))
    parts = [shown(make(part=part, batch_size=2, shard=Shard(index, 2))) for index in range(2)]
    for domain in range(2):
        assert sorted(whole[domain]) == sorted(parts[0][domain] + parts[1][domain])


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"data": dataset(train=(1, 9))}, DataCorrupt, "two: domain A has 1 training image, and needs 2 or more"),
        (
            {"data": dataset(test=(3, 0)), "part": "test"},
            DataCorrupt,
            "domain B has 0 test images, and needs 1 or more",
        ),
        ({"data": dataset(classes=3)}, WrongOption, "unpaired shows two domains, and two has 3 kinds"),
        ({"batch_size": 13}, WrongOption, "batch size is 13; a train loader allows 1 to 12"),
    ],
)
def test_what_does_not_fit_is_refused(changes, error, said):
    with pytest.raises(error, match=said):
        make(**changes)
