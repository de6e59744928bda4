"""Columns of JSON values: packed losslessly into Arrow arrays, and converted to pandas arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

# The Arrow type records the type of the values; values without a type of their own are JSON text, as bytes.
_TYPES: dict[type, pa.DataType] = {
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    str: pa.large_string(),
}
_NUMBER = pa.struct([("int", pa.int64()), ("float", pa.float64())])
_JSON = pa.large_binary()


def pack(values: list[Any]) -> pa.Array:
    """An array from which `unpack` restores equal values of equal types. None becomes null; NaN does not."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    try:
        if len(kinds) == 1 and (dtype := _TYPES.get(*kinds)):
            return pa.array(values, dtype)
        if kinds == {int, float}:
            ints = pa.array([value if type(value) is int else None for value in values], pa.int64())
            floats = pa.array([value if type(value) is float else None for value in values], pa.float64())
            return pa.StructArray.from_arrays([ints, floats], fields=list(_NUMBER))
    except (OverflowError, pa.ArrowInvalid):
        pass  # an integer of more than 64 bits
    return pa.array([None if value is None else json.dumps(value).encode() for value in values], _JSON)


def unpack(array: pa.Array) -> list[Any]:
    """The values that `pack` was given."""
    values: list[Any] = array.to_pylist()
    if array.type == _JSON:
        return [None if value is None else json.loads(value) for value in values]
    if array.type == _NUMBER:
        return [value["float"] if value["int"] is None else value["int"] for value in values]
    return values


def pack_shared(texts: list[str]) -> pa.Array:
    """An array of texts that stores each distinct text once."""
    positions: dict[str, int] = {}
    indices = [positions.setdefault(text, len(positions)) for text in texts]
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(list(positions), pa.large_string()))


def join_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of several tables, with null where a table lacks a column; columns are in order of appearance."""
    if len(tables) == 1:
        return tables[0]
    names = dict.fromkeys(name for table in tables for name in table.column_names)
    return pa.table(
        {
            name: _join(
                [
                    table[name].combine_chunks() if name in table.column_names else pa.nulls(table.num_rows)
                    for table in tables
                ]
            )
            for name in names
        }
    )


def _join(arrays: Sequence[pa.Array]) -> pa.Array:
    """The same as `pack` of all values together."""
    types = {array.type for array in arrays} - {pa.null()}
    if len(types) > 1:
        return pack([value for array in arrays for value in unpack(array)])
    dtype = types.pop() if types else pa.null()
    arrays = [pa.nulls(len(array), dtype) if array.type == pa.null() else array for array in arrays]
    if pa.types.is_dictionary(dtype):
        return pa.chunked_array(arrays).unify_dictionaries().combine_chunks()
    return pa.concat_arrays(arrays)


def show(array: pa.Array) -> Any:
    """A pandas array of the type that fits all values: int64, float64, bool or string, or with gaps Int64 and so on.

    Lists and columns of mixed types become text: strings are unchanged, everything else is JSON.
    """
    if array.type == _JSON:
        return _show_json(array)
    if array.type == _NUMBER:
        array = pc.coalesce(array.field("float"), array.field("int").cast(pa.float64(), safe=False))
    if array.type == pa.null():
        array = array.cast(pa.float64())
    if array.type == pa.large_string():
        return strings(array)
    if pa.types.is_timestamp(array.type):
        return array.to_pandas().array
    if array.null_count and array.type in (pa.int64(), pa.bool_()):
        missing = array.is_null().to_numpy(zero_copy_only=False)
        values = array.fill_null(pa.scalar(0).cast(array.type)).to_numpy(zero_copy_only=False, writable=True)
        return (pd.arrays.BooleanArray if array.type == pa.bool_() else pd.arrays.IntegerArray)(values, missing)
    values = array.to_numpy(zero_copy_only=False, writable=True)
    return pd.array(values, dtype=str(values.dtype), copy=False)


def strings(array: pa.Array) -> Any:
    """Arrow text as a pandas string array."""
    dtype: Any = pd.array([], dtype="string").dtype
    return dtype.__from_arrow__(array)


def _show_json(array: pa.Array) -> Any:
    encoded = array.dictionary_encode()
    distinct = unpack(encoded.dictionary)
    if set(map(type, distinct)) <= {int, float}:
        try:
            floats = pa.array(np.array(distinct, dtype=np.float64))
            return show(floats.take(encoded.indices))
        except OverflowError:
            pass  # too large for a float: show its digits
    texts = [value if type(value) is str else json.dumps(value, ensure_ascii=False) for value in distinct]
    return strings(pa.array(texts, pa.large_string()).take(encoded.indices))
