"""The torch loader's own: worker processes, and torchvision beside any build of torch."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from bench.pipelines.loader import Loader

MakeLoader = Callable[..., Loader]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_number_of_workers_changes_nothing_but_speed(workers: int, make: MakeLoader) -> None:
    before = set(multiprocessing.active_children())
    one, several = make("torch"), make("torch", workers=workers)
    for (images, labels), (other_images, other_labels) in zip(one.epoch(4), several.epoch(4), strict=True):
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)
    one.close()
    assert len(set(multiprocessing.active_children()) - before) == workers
    several.close()
    assert set(multiprocessing.active_children()) <= before


def test_workers_start_in_the_warm_up_and_stay(make: MakeLoader) -> None:
    before = set(multiprocessing.active_children())
    loader = make("torch", workers=2)
    assert set(multiprocessing.active_children()) <= before
    loader.warm_up()
    workers = set(multiprocessing.active_children()) - before
    assert len(workers) == 2
    list(loader.epoch(0))
    list(loader.epoch(1))
    assert set(multiprocessing.active_children()) - before == workers


def test_torchvision_works_beside_this_torch() -> None:
    code = """
import torch
from bench.pipelines.torchvision_compat import import_torchvision
models = import_torchvision("torchvision.models")
print(tuple(models.resnet18(num_classes=7).eval()(torch.zeros(1, 3, 32, 32)).shape))
print(import_torchvision() is import_torchvision(), import_torchvision("torchvision.transforms.v2").__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["(1, 7)", "True torchvision.transforms.v2"]


def test_another_reason_for_failing_is_not_hidden() -> None:
    from bench.pipelines.torchvision_compat import import_torchvision

    with pytest.raises(ModuleNotFoundError, match=r"torchvision\.no_such"):
        import_torchvision("torchvision.no_such")
