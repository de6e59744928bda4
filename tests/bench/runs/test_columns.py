from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.runs.columns import join_tables, pack, pack_shared, show, unpack

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
values = st.one_of(
    *(st.lists(st.none() | kind, max_size=4) for kind in (st.booleans(), st.integers(), st.floats(), st.text())),
    st.lists(scalars | st.lists(scalars, max_size=2), max_size=5),
)


def exactly(value: Any) -> Any:
    """Something that is equal for the same values of the same types alone."""
    if isinstance(value, list):
        return [exactly(item) for item in value]
    return type(value), "nan" if value != value else repr(value)


@given(values)
def test_packing_loses_nothing(some: list[Any]) -> None:
    assert exactly(unpack(pack(some))) == exactly(some)


@given(values, values)
def test_two_parts_make_the_whole(first: list[Any], second: list[Any]) -> None:
    joined = join_tables([pa.table({"x": pack(first)}), pa.table({"x": pack(second)})])["x"].combine_chunks()
    assert exactly(unpack(joined)) == exactly(first + second)
    assert str(show(joined)) == str(show(pack(first + second)))


def test_a_column_that_one_table_has_not_is_null_there() -> None:
    tables = [pa.table({"a": pack([1])}), pa.table({"b": pack_shared(["x", "x", "y"])}), pa.table({"a": pack([2.5])})]
    joined = join_tables(tables)
    assert joined.column_names == ["a", "b"]
    assert unpack(joined["a"].combine_chunks()) == [1, None, None, None, 2.5]
    assert joined["b"].to_pylist() == [None, "x", "x", "y", None]


@pytest.mark.parametrize("huge", [2**64, 10**400])
def test_integers_beyond_64_bits(huge: int) -> None:
    assert unpack(pack([huge, None])) == [huge, None]
    shown = show(pack([huge, None]))
    assert shown[0] == (float(huge) if huge < 10**300 else str(huge))


def test_what_is_shown_can_be_changed() -> None:
    shown = show(pack([1.0, math.nan]))
    shown[0] = 2.0
    assert shown[0] == 2.0
