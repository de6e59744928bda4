"""The ffcv loader's own: what ffcv does wrong when left alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.pipelines.dataset import Dataset
from bench.pipelines.errors import PartMissing
from bench.pipelines.loader import Loader, usable_cores

try:
    from bench.pipelines.loaders.beton import beton_of
    from bench.pipelines.loaders.ffcv_loader import Decoding, FfcvLoader
except PartMissing as missing:
    pytest.skip(str(missing), allow_module_level=True)

from ffcv.fields.basics import IntDecoder
from ffcv.loader import Loader as BetonLoader
from ffcv.pipeline.operation import Operation
from ffcv.transforms import ToTensor

MakeLoader = Callable[..., Loader]


class Failing(Operation):
    """A transform that raises at its batch number `at`."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.seen = at, 0

    def declare_state_and_memory(self, previous_state: Any) -> Any:
        return previous_state, None

    def generate_code(self) -> Callable[..., Any]:
        def fail(batch: Any, _: Any) -> Any:
            self.seen += 1
            if self.seen > self.at:
                raise ArithmeticError(f"batch {self.at}")
            return batch

        return fail


@pytest.fixture
def failing(dataset: Dataset, betons: Path) -> Callable[[int], BetonLoader]:
    """Make an ffcv loader of labels that fails at a given batch."""
    beton = beton_of(dataset, dataset.train, "train", betons)

    def make(at: int) -> BetonLoader:
        pipelines = {"image": None, "label": [IntDecoder(), ToTensor(), Failing(at)]}
        return BetonLoader(str(beton), 10, num_workers=1, pipelines=pipelines)

    return make


@pytest.mark.timeout(60)
@pytest.mark.parametrize("at", [0, 2, 9])
def test_an_error_in_a_transform_reaches_the_consumer(at: int, failing: Callable[[int], BetonLoader]) -> None:
    loader = failing(at)
    decoding = Decoding(loader, np.arange(100))
    for _ in range(at):
        next(decoding)
    with pytest.raises(ArithmeticError, match=f"batch {at}"):
        next(decoding)
    assert not decoding.is_alive()
    assert list(decoding) == []


@pytest.mark.timeout(60)
def test_an_error_while_the_queue_is_full_holds_nobody_up(failing: Callable[[int], BetonLoader]) -> None:
    loader = failing(4)
    loader.batches_ahead = 4
    decoding = Decoding(loader, np.arange(100))
    while not decoding.output_queue.full() or decoding.error is None:
        time.sleep(0.01)
    decoding.close()
    assert not decoding.is_alive()


def test_threads_of_torch_stay_as_they_were(tmp_path: Path) -> None:
    code = f"""
import pathlib, threading
import numpy as np, torch
torch.set_num_threads(3)
from bench.pipelines.augment import Augment
from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.loader import Placement
from bench.pipelines.loaders import make_loader
split = Split(np.zeros((20, 1, 4, 4), np.uint8), np.arange(20))
data = Dataset("zeros", split, split, 20, (0.5,), (0.2,), False)
seen = []
def note(): seen.append(torch.get_num_threads())
def note_everywhere():
    note()
    thread = threading.Thread(target=note); thread.start(); thread.join()
with make_loader("ffcv", data, "train", 5, Augment(), Placement(torch.device("cpu")), 0, 1,
                 pathlib.Path({str(tmp_path)!r})) as loader:
    note_everywhere()
    for _ in loader.epoch(0):
        note_everywhere()
note_everywhere()
print(set(seen))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{3}"


def test_more_workers_than_cores_are_cut(make: MakeLoader) -> None:
    loader = make("ffcv", workers=1000)
    assert len(list(loader.epoch(0))) == 10
    assert loader._beton.num_workers == usable_cores()


def test_warming_up_compiles_all_that_an_epoch_runs(make: MakeLoader) -> None:
    events = pytest.importorskip("numba.core.event")
    loader = make("ffcv", "test", batch_size=7)
    with events.install_recorder("numba:compile") as warm_up:
        loader.warm_up()
    with events.install_recorder("numba:compile") as epoch:
        assert len(list(loader.epoch(0))) == 5  # the last one not full
    assert len(warm_up.buffer) > 0
    assert len(epoch.buffer) == 0


def test_without_a_cache_the_beton_goes_with_the_loader(make: MakeLoader) -> None:
    loader = make("ffcv", cache=None)
    assert isinstance(loader, FfcvLoader)
    beton = Path(loader._beton.fname)
    assert beton.is_file()
    loader.close()
    assert not beton.parent.exists()


def test_where_ffcv_is_missing_the_remedy_is_named_and_torch_left_alone() -> None:
    code = """
import sys, torch
torch.set_num_threads(3)
sys.modules["ffcv"] = None
from bench.pipelines.augment import Augment
from bench.pipelines.errors import PartMissing
from bench.pipelines.loaders import make_loader
try:
    make_loader("ffcv", None, "train", 1, Augment(), None, 0)
except PartMissing as error:
    print(torch.get_num_threads(), error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("3 The ffcv loader needs ffcv")
    assert "make setup" in done.stdout
