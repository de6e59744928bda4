"""What holds for every loader alike."""

from __future__ import annotations

import itertools
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
import torch

from bench.errors import UsageError
from bench.pipelines.augment import Augment
from bench.pipelines.dataset import Dataset
from bench.pipelines.errors import WrongOption
from bench.pipelines.loader import Batch, Loader, Placement, Shard
from bench.pipelines.loaders import LOADERS, make_loader

MakeLoader = Callable[..., Loader]


@pytest.fixture(scope="module", params=[name for name in LOADERS if name not in ("tokens", "pairs", "unpaired")])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def train(name: str, make: MakeLoader) -> Loader:
    return make(name)


@pytest.fixture(scope="module")
def test(name: str, make: MakeLoader) -> Loader:
    return make(name, "test")


def assert_same(one: list[Batch], other: list[Batch], tolerance: float = 0.0) -> None:
    assert len(one) == len(other) > 0
    for (images, labels), (other_images, other_labels) in zip(one, other, strict=True):
        assert torch.equal(labels, other_labels)
        torch.testing.assert_close(images, other_images, rtol=0, atol=tolerance)


def labels_of(batches: list[Batch]) -> list[int]:
    return torch.cat([labels for _, labels in batches]).tolist()


def test_an_epoch_shows_the_images_that_it_is_given_in_their_order_and_as_drawn(train: Loader) -> None:
    chosen = train.order(3)[5:30]
    shown, whole = list(train.epoch(3, chosen)), list(train.epoch(3))
    assert [len(labels) for _, labels in shown] == [10, 10, 5]
    given = [torch.cat(parts) for parts in zip(*shown, strict=True)]
    own = [torch.cat(parts)[5:30] for parts in zip(*whole, strict=True)]
    assert_same([(given[0], given[1])], [(own[0], own[1])])


def test_a_training_epoch_has_full_batches_of_different_images(train: Loader) -> None:
    batches = list(train.epoch(0))
    assert len(batches) == train.steps_per_epoch == 10
    for images, labels in batches:
        assert images.shape == (10, 3, 10, 12)
        assert images.dtype == torch.float32
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert labels.shape == (10,)
        assert labels.dtype == torch.int64
    assert len(set(labels_of(batches))) == 100
    assert labels_of(batches) != sorted(labels_of(batches))


def test_an_epoch_is_the_same_whatever_was_drawn_before(train: Loader) -> None:
    in_order = [list(train.epoch(epoch)) for epoch in range(3)]
    for epoch in (2, 0, 1):
        assert_same(list(train.epoch(epoch)), in_order[epoch])
    assert labels_of(in_order[0]) != labels_of(in_order[1]) != labels_of(in_order[2])


def test_a_seed_repeats_order_and_augmentation_and_another_changes_both(
    name: str, train: Loader, make: MakeLoader
) -> None:
    torch.manual_seed(17)
    assert_same(list(make(name).epoch(3)), list(train.epoch(3)))
    other = list(make(name, seed=2).epoch(3))
    assert labels_of(other) != labels_of(list(train.epoch(3)))

    def by_label(batches: list[Batch]) -> dict[int, torch.Tensor]:
        return {int(label): image for images, labels in batches for image, label in zip(images, labels, strict=True)}

    here, there = by_label(list(train.epoch(3))), by_label(other)
    assert not any(torch.equal(here[label], there[label]) for label in here.keys() & there.keys())


@pytest.mark.parametrize("pad", ["reflect", "zero"])
def test_all_loaders_give_the_same_batches(name: str, pad: str, make: MakeLoader) -> None:
    augment = Augment("random", 3, pad, 4, 0.2, 0.3)
    loader, resident = make(name, augment=augment), make("resident", augment=augment)
    assert_same(list(loader.epoch(5)), list(resident.epoch(5)), tolerance=1e-5)


def test_a_test_epoch_shows_everything_once_in_order_and_as_it_is(test: Loader, dataset: Dataset) -> None:
    batches = list(test.epoch(0))
    assert len(batches) == test.steps_per_epoch == 4
    assert labels_of(batches) == list(range(31))
    assert len(batches[-1][1]) == 1
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (dataset.mean, dataset.std))
    expected = (torch.from_numpy(dataset.test.images) / 255 - mean) / std
    torch.testing.assert_close(torch.cat([images for images, _ in batches]), expected, rtol=0, atol=1e-5)
    assert_same(list(test.epoch(1)), batches)


def test_an_epoch_may_be_left_early(train: Loader) -> None:
    expected = [list(train.epoch(epoch)) for epoch in (0, 1)]
    threads = set(threading.enumerate())
    for taken in (0, 1, 7):
        for _ in zip(range(taken), train.epoch(0), strict=False):
            pass
        assert set(threading.enumerate()) <= threads
        assert_same(list(train.epoch(1)), expected[1])
    assert_same(list(train.epoch(0)), expected[0])


def test_batches_are_the_callers_own(train: Loader) -> None:
    kept, copies = [], []
    for images, labels in train.epoch(0):
        kept.append((images, labels))
        copies.append((images.clone(), labels.clone()))
    assert_same(kept, copies)
    for images, labels in kept:
        images.zero_()
        labels.zero_()
    assert_same(list(train.epoch(0)), copies)


def test_training_random_numbers_are_left_alone(train: Loader) -> None:
    before = torch.get_rng_state()
    train.warm_up()
    list(train.epoch(0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_type_and_memory_format_are_as_asked(name: str, memory_format: torch.memory_format, make: MakeLoader) -> None:
    place = Placement(torch.device("cpu"), torch.bfloat16, memory_format)
    for images, _ in make(name, "test", placement=place).epoch(0):
        assert images.dtype == torch.bfloat16
        assert images.is_contiguous(memory_format=memory_format)


@pytest.mark.timeout(60)
def test_asking_for_an_epoch_ends_the_one_before(train: Loader) -> None:
    expected = list(train.epoch(1))
    old = train.epoch(0)
    next(old)
    new = train.epoch(1)
    taken = [next(new)]
    assert list(old) == []
    assert_same(taken + list(new), expected)


@pytest.mark.timeout(60)
def test_closing_ends_threads_and_processes_even_in_the_middle_of_an_epoch(name: str, make: MakeLoader) -> None:
    threads, processes = set(threading.enumerate()), set(multiprocessing.active_children())
    loader = make(name)
    epoch = loader.epoch(0)
    next(epoch)
    loader.close()
    for thread in set(threading.enumerate()) - threads:
        thread.join(10)  # those that feed multiprocessing's queues end a moment later
    assert set(threading.enumerate()) <= threads
    assert set(multiprocessing.active_children()) <= processes
    assert list(epoch) == []
    loader.close()
    with pytest.raises(RuntimeError, match="loader of 'made-up' is closed"):
        loader.epoch(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 104}, "batch size is 104; a train loader allows 1 to 103, the images of 'made-up'"),
        ({"batch_size": 0}, "batch size is 0; a train loader allows 1 to 103"),
        ({"split": "test", "batch_size": 0}, "batch size is 0; a test loader allows 1 or more"),
        ({"workers": -1}, "workers is -1; allowed: 0 or more"),
        ({"augment": Augment(shift_pixels=10)}, "shift_pixels is 10; allowed: 0 to 9"),
    ],
)
def test_what_cannot_work_is_refused(name: str, change: dict[str, object], message: str, make: MakeLoader) -> None:
    with pytest.raises(WrongOption, match=message):
        make(name, **change)


def test_a_test_batch_may_be_larger_than_the_set(name: str, make: MakeLoader) -> None:
    ((_, labels),) = make(name, "test", batch_size=1000).epoch(0)
    assert len(labels) == 31


def test_an_unknown_name_is_refused_with_the_nearest(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match=r"unknown loader 'residant' \(did you mean 'resident'"):
        make_loader("residant", dataset, "train", 10, Augment(), Placement(torch.device("cpu")), 0)


def test_naming_the_loaders_imports_none_of_their_libraries() -> None:
    code = (
        "import sys, pipelines.loaders\n"
        "print(sorted({'torch', 'numpy', 'ffcv', 'numba', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_shards_of_a_batch_are_the_batch_of_one_loader(name: str, train: Loader, make: MakeLoader) -> None:
    shards = [make(name, batch_size=5, shard=Shard(index, 2)) for index in range(2)]
    assert [shard.steps_per_epoch for shard in shards] == [train.steps_per_epoch] * 2
    steps = zip(*(shard.epoch(1) for shard in shards), strict=True)
    together = [tuple(torch.cat(parts) for parts in zip(*step, strict=True)) for step in steps]
    assert_same(together, list(train.epoch(1)))


def test_each_shard_draws_for_a_users_augmentation_by_itself(name: str, make: MakeLoader) -> None:
    shards = [make(name, batch_size=5, shard=Shard(index, 2)) for index in range(2)]
    for shard in shards:
        shard.then = (torch.rand_like,)
    first, second = (next(iter(shard.epoch(0)))[0] for shard in shards)
    assert not torch.equal(first, second)
    assert torch.equal(second, next(iter(shards[1].epoch(0)))[0])


def test_the_shards_of_a_test_set_show_every_image_once(name: str, make: MakeLoader) -> None:
    shards = [make(name, "test", batch_size=4, shard=Shard(index, 3)) for index in range(3)]
    shown = [labels_of(list(shard.epoch(0))) for shard in shards]
    assert list(itertools.chain.from_iterable(shown)) == list(range(31))
    assert [len(labels) for labels in shown] == [10, 10, 11]
    assert [shard.steps_per_epoch for shard in shards] == [3, 3, 3]


def test_a_shard_whose_batches_are_too_large_in_all_is_refused(name: str, make: MakeLoader) -> None:
    with pytest.raises(WrongOption, match="batch size is 60 on each of 2 devices; a train loader allows 1 to 103"):
        make(name, batch_size=60, shard=Shard(0, 2))
