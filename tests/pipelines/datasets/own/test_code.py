"""Data that a user's Python makes: arrays or tensors from a function, or torch data sets."""

from __future__ import annotations

import pytest

from bench.errors import UsageError
from bench.pipelines.datasets import load_dataset
from bench.pipelines.errors import DataCorrupt, WrongOption

HEAD = """
import numpy as np, torch
from torch.utils.data import Dataset, IterableDataset, TensorDataset
IMAGES = torch.arange(10 * 3 * 4 * 5, dtype=torch.uint8).view(10, 3, 4, 5)
LABELS = torch.arange(10) % 2
class Shapes(Dataset):
    def __init__(self, split, offset: int = 0): self.rows = range(8) if split == "train" else range(8, 10)
    def __len__(self): return len(self.rows)
    def __getitem__(self, index): return IMAGES[self.rows[index]], int(LABELS[self.rows[index]])
class Stream(IterableDataset):
    def __iter__(self): return iter([])
"""


@pytest.fixture
def load(tmp_path):
    def from_source(source, name="load", **options):
        (tmp_path / "data.py").write_text(HEAD + source)
        return load_dataset(f"{tmp_path}/data.py:{name}", options=options)

    return from_source


WHOLE = "return IMAGES[:8], LABELS[:8], IMAGES[8:], LABELS[8:]"


@pytest.mark.parametrize(
    "source",
    [
        "def load(): return (IMAGES[:8].numpy(), LABELS[:8]), (IMAGES[8:], LABELS[8:].tolist())",
        "def load(): return TensorDataset(IMAGES[:8], LABELS[:8]), Shapes('test')",
        "def load(): return dict(x_train=IMAGES[:8], y_train=LABELS[:8], x_test=IMAGES[8:], y_test=LABELS[8:])",
        "load = Shapes",
    ],
)
def test_every_way_to_return_it_gives_the_same_data(load, source):
    expected, data = load("def arrays(): " + WHOLE, "arrays"), load(source)
    assert (data.image_shape, data.classes, len(data.train), len(data.test)) == ((3, 4, 5), 2, 8, 2)
    assert data.fingerprint == expected.fingerprint
    assert data.name == f"load-{data.fingerprint[:8]}"


def test_options_are_the_functions_own_and_benchs_where_it_has_none_of_that_name(load):
    source = "def load(count: int, classes: int = 2): return IMAGES[:count], LABELS[:count] % classes"
    data = load(source, count=6, held_out=2)
    assert (len(data.train), len(data.test)) == (4, 2)
    with pytest.raises(WrongOption, match=r"data data.py:load has no option 'cuont' \(did you mean 'count'\?\)"):
        load(source, count=6, cuont=6, held_out=2)
    with pytest.raises(WrongOption, match="count is '6'; it takes a whole number"):
        load(source, count="6")
    with pytest.raises(WrongOption, match="needs the option 'count'"):
        load(source)


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        (
            "def load(): return 1 / 0",
            UsageError,
            r"(?s)data.py:load: an error in your code.*ZeroDivisionError",
        ),
        ("def load(): return 3", UsageError, "data.py:load returned a int; return images, labels"),
        ("load = 3", WrongOption, "data.py:load is int; name a function, or a class of torch data sets"),
        (
            "def load(): return IMAGES, LABELS / 2",
            DataCorrupt,
            "labels are float32, numbers to be predicted",
        ),
        (
            "def load(): return IMAGES, LABELS",
            WrongOption,
            "load has no test images; say how many",
        ),
        ("def load(): return Stream()", UsageError, "has no length; give a data set of the map style"),
        ("def load(): return [(IMAGES[0], 1)]", UsageError, "returned a list"),
        ("def load(): return TensorDataset(IMAGES)", UsageError, "item 0 is a tuple, not an"),
        (
            "class load(Shapes):\n def __getitem__(self, i): return np.ones((i, i)), 1",
            UsageError,
            r"image 1 is \[1, 1\]",
        ),
        ("class load(Shapes):\n def __getitem__(self, i): return open('/no/such')", UsageError, "FileNotFoundError"),
    ],
)
def test_what_is_wrong_is_one_message(load, source, error, said):
    with pytest.raises(error, match=said):
        load(source)
