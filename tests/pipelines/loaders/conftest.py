"""A small made-up data set whose labels tell which image is which, and loaders made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.pipelines.augment import Augment
from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.errors import PartMissing
from bench.pipelines.loader import Loader, Placement
from bench.pipelines.loaders import make_loader

MakeLoader = Callable[..., Loader]


def make_split(count: int, seed: int) -> Split:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3, 10, 12), dtype=np.uint8)
    return Split(pixels, np.arange(count))


@pytest.fixture(scope="package")
def dataset() -> Dataset:
    train, test = make_split(103, seed=0), make_split(31, seed=1)
    return Dataset("made-up", train, test, 103, (0.45, 0.5, 0.4), (0.25, 0.2, 0.3), official=False)


@pytest.fixture(scope="package")
def betons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("betons")


@pytest.fixture(scope="package")
def make(dataset: Dataset, betons: Path) -> Iterator[MakeLoader]:
    """Make a loader by name, closed when the tests of this folder end; skip where its library is missing."""
    with ExitStack() as stack:

        def make(name: str, split: str = "train", batch_size: int = 10, **changes: Any) -> Loader:
            arguments: dict[str, Any] = {
                "dataset": dataset,
                "augment": Augment("alternating", 2, "reflect", 5, 0.1, 0.2),
                "placement": Placement(torch.device("cpu")),
                "seed": 1,
                "workers": 1,
                "cache": betons,
            }
            try:
                loader = make_loader(name, split=split, batch_size=batch_size, **(arguments | changes))
            except PartMissing as missing:
                pytest.skip(str(missing))
            return stack.enter_context(loader)

        yield make
