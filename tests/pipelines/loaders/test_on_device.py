"""What loaders do ahead of time on a GPU; it changes no batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from bench.pipelines import augment as augment_module
from bench.pipelines.augment import Augment, Draws
from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.datasets import load_dataset
from bench.pipelines.loader import Placement, Shard
from bench.pipelines.loaders import LOADERS, make_loader, on_device
from bench.pipelines.loaders.on_device import OnDeviceLoader
from bench.pipelines.loaders.resident import ResidentLoader


def two_domains(data: Dataset) -> Dataset:
    train, test = (Split(split.images, split.labels % 2) for split in (data.train, data.test))
    return dataclasses.replace(data, train=train, test=test, classes=2)


def with_masks(data: Dataset) -> Dataset:
    train, test = (Split(split.images, split.labels, split.images[:, 0]) for split in (data.train, data.test))
    return dataclasses.replace(data, train=train, test=test)


def text(_: Dataset) -> Dataset:
    return load_dataset("human_numbers")


GEOMETRY = Augment("alternating", 2, "reflect")
KINDS: dict[str, tuple[Callable[[Dataset], Dataset], Augment, int]] = {
    "resident": (lambda data: data, Augment("alternating", 2, "reflect", 3, 0.1, 0.1), 8),
    "pairs": (with_masks, GEOMETRY, 8),
    "unpaired": (two_domains, GEOMETRY, 8),
    "tokens": (text, Augment(), 64),
}


def test_every_loader_of_the_kind_is_here() -> None:
    kinds = {name for name in LOADERS if issubclass(LOADERS.load(name), OnDeviceLoader)}
    assert set(KINDS) == kinds


@pytest.mark.parametrize("shard", [Shard(), Shard(1, 2)], ids=["alone", "of two"])
@pytest.mark.parametrize("name", [name for name in KINDS if name != "tokens"])
def test_what_is_drawn_ahead_is_what_would_be_drawn_in_time(dataset: Dataset, name: str, shard: Shard) -> None:
    made_of, augment, batch_size = KINDS[name]
    data, placement = made_of(dataset), Placement(torch.device("cpu"))
    ahead, plain = (
        make_loader(name, data, "train", batch_size, augment, placement, seed=0, shard=shard) for _ in range(2)
    )
    ahead._looks_ahead = True  # type: ignore[attr-defined]
    with ahead, plain:
        for epoch in (0, 1, 2, 5, 6):
            for left, right in zip(ahead.epoch(epoch), plain.epoch(epoch), strict=True):
                assert torch.equal(left[0], right[0])
                assert torch.equal(left[1], right[1])
            drawn = ahead._ahead  # type: ignore[attr-defined]
            assert drawn.epoch == epoch + 1
            # What an epoch begins with is in one piece, so that a GPU copies it as it is.
            assert ahead.order(epoch + 1) is drawn.order
            assert drawn.order.is_contiguous()
    assert ahead._ahead is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "split"), [("tokens", "train"), *((name, "test") for name in KINDS)])
def test_an_order_that_all_epochs_share_is_made_once(dataset: Dataset, name: str, split: Literal["train", "test"]):
    made_of, augment, batch_size = KINDS[name]
    with make_loader(name, made_of(dataset), split, batch_size, augment, Placement(torch.device("cpu")), 0) as loader:
        loader._looks_ahead = True  # type: ignore[attr-defined]
        assert loader.order(0) is loader.order(1)
        assert len(list(loader.epoch(0))) == len(list(loader.epoch(1))) > 0


@pytest.mark.parametrize("looks_ahead", [False, True])
def test_a_run_draws_all_that_is_random_in_it_after_the_warm_up(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, looks_ahead: bool
) -> None:
    """A warm-up is not on every clock; and it changes no batch."""
    drawn: list[int] = []
    draw = Augment.draw

    def noted(augment: Augment, seed: int, epoch: int, *shape: int) -> Draws:
        drawn.append(epoch)
        return draw(augment, seed, epoch, *shape)

    monkeypatch.setattr(Augment, "draw", noted)
    augment = Augment(flip="random", shift_pixels=1)
    loaders = [ResidentLoader(dataset, "train", 8, augment, Placement(torch.device("cpu")), seed=3) for _ in range(2)]
    warm, cold = loaders
    warm._looks_ahead = looks_ahead
    warm.warm_up()
    assert drawn == [0]
    first = list(warm.epoch(0))
    assert drawn == [0, 0, 1] if looks_ahead else [0, 0]
    for (images, labels), (others, other_labels) in zip(first, cold.epoch(0), strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, other_labels)
    # Another seed in the same place draws its own.
    warm.reseed(4)
    assert not torch.equal(next(warm.epoch(0))[0], first[0][0])


def test_the_memory_of_an_epoch_s_random_numbers_is_free_before_the_next_are_made(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU it is pinned, and to pin more within an epoch takes long."""
    loader = ResidentLoader(dataset, "train", 8, Augment(flip="random"), Placement(torch.device("cpu")), seed=3)
    loader._looks_ahead = True
    earlier: list[StorageWeakRef] = []
    living: list[bool] = []
    draw = Augment.draw

    def sent_by_copy(tensor: torch.Tensor, _: torch.device) -> torch.Tensor:
        earlier.append(StorageWeakRef(tensor.untyped_storage()))
        return tensor.clone()

    def noted(augment: Augment, *key: int) -> Draws:
        living.extend(not storage.expired() for storage in earlier)
        return draw(augment, *key)

    for module in (on_device, augment_module):
        monkeypatch.setattr(module, "sent", sent_by_copy)
    monkeypatch.setattr(Augment, "draw", noted)
    loader.warm_up()
    list(loader.epoch(0))
    list(loader.epoch(1))
    assert len(living) > 4
    assert not any(living)
