from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bench.pipelines.datasets.idx import parse_idx
from bench.pipelines.errors import DataCorrupt
from tests.pipelines.datasets.tiny_sets import idx

some_array = arrays.arrays(np.uint8, arrays.array_shapes(max_dims=4, max_side=6))


@given(some_array)
def test_what_is_written_is_read(array: np.ndarray) -> None:
    np.testing.assert_array_equal(parse_idx(idx(array), "a"), array)


@given(some_array, st.data())
def test_every_truncation_and_every_surplus_is_corrupt(array: np.ndarray, data: st.DataObject) -> None:
    content = idx(array)
    cut = data.draw(st.integers(0, len(content) - 1))
    surplus = data.draw(st.binary(min_size=1, max_size=20))
    for wrong in (content[:cut], content + surplus):
        with pytest.raises(DataCorrupt):
            parse_idx(wrong, "a")


@given(st.binary(max_size=80), st.booleans())
def test_garbage_is_corrupt_or_an_array_of_all_its_bytes(content: bytes, plausible: bool) -> None:
    content = b"\0\0\x08" + content if plausible else content
    try:
        array = parse_idx(content, "a")
    except DataCorrupt:
        return
    assert content.endswith(array.tobytes())
    assert len(content) == 4 + 4 * array.ndim + array.size


@pytest.mark.parametrize("dimensions", [65, 255])
def test_more_dimensions_than_numpy_has_are_corrupt(dimensions: int) -> None:
    content = b"\0\0\x08" + bytes([dimensions]) + struct.pack(f">{dimensions}I", *[1] * dimensions) + b"x"
    with pytest.raises(DataCorrupt, match="makes no array"):
        parse_idx(content, "a")
