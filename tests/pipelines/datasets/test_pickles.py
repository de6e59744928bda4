from __future__ import annotations

import contextlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.pipelines.datasets.pickles import load_arrays
from bench.pipelines.errors import DataCorrupt


class Runs:
    """A pickle that runs a shell command when it is read by the usual means."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


def test_arrays_and_plain_containers_come_back() -> None:
    content = {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": [1, 2], "more": ("a", None, 1.5)}
    loaded = load_arrays(pickle.dumps(content, protocol=3), "a")
    np.testing.assert_array_equal(loaded.pop("data"), content.pop("data"))
    assert loaded == content


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_command_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    witness = tmp_path / "witness"
    evil = pickle.dumps({"data": Runs(f"touch {witness}")}, protocol=protocol)
    with pytest.raises(DataCorrupt, match=r"asks for \w+\.system"):
        load_arrays(evil, "a")
    assert not witness.exists()
    pickle.loads(evil)  # it would have
    assert witness.exists()


@pytest.mark.parametrize(
    "asked", ["builtins\neval", "builtins\ngetattr", "numpy\nload", "numpy\nndarray.tofile", "os\nsystem"]
)
def test_nothing_but_array_parts_can_be_named(asked: str) -> None:
    with pytest.raises(DataCorrupt, match="no data set needs"):
        load_arrays(b"c" + asked.encode() + b"\n.", "a")


def test_a_place_of_the_memo_that_would_take_gigabytes_is_refused() -> None:
    damaged = b"}r" + (2**30).to_bytes(4, "little") + b"."
    assert pickle.loads(damaged.replace((2**30).to_bytes(4, "little"), b"\x01\x00\x00\x00")) == {}
    with pytest.raises(DataCorrupt, match="place 1073741824 of the memo after 1 operations"):
        load_arrays(damaged, "a")


@given(st.binary(max_size=300))
def test_garbage_is_corrupt(content: bytes) -> None:
    with contextlib.suppress(DataCorrupt):
        assert isinstance(load_arrays(content, "a"), dict)
