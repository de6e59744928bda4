"""The store as two tidy pandas frames: a row a run, and a row a run and epoch."""

from __future__ import annotations

import difflib
import gc
import json
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from bench.errors import UsageError
from bench.run import SCHEMA, RecordError, Run, Scalar
from bench.store import StoreWarning, jsonl_files, read_records

Columns = dict[str, Any]
EpochRow = dict[str, Scalar]

# The columns that are there whatever the store holds, and their types.
RUN_DTYPES = {
    "run_id": "string",
    "started_at": "datetime64[us, UTC]",
    "recipe": "string",
    "cell": "string",
    "sweep": "string",
    "seed": "int64",
    "measure": "string",
    "status": "string",
    "reason": "string",
    "price_per_hour": "float64",
    "command": "string",
    "log": "string",
    "schema": "int64",
}
EPOCH_DTYPES = {"run_id": "string", "epoch": "int64"}
# Nested parts of a run whose columns are named PART.KEY.
PARTS = ("config", "machine", "code", "data", "versions")


class Frames:
    """Two frames, also to be unpacked: `runs, epochs = load()`.

    `runs` has a row for each run: RUN_DTYPES; every metric under its own name (under `metric.NAME` where
    one of RUN_DTYPES has that name); `span.NAME_s`, the host seconds in all spans of that name, NaN where
    there was none; and `config.`, `machine.`, `code.`, `data.` and `versions.` with the dotted keys of
    those parts. `epochs` has a row for each run and epoch: `run_id`, and what the run noted then.

    A column is int64, float64, bool or string; with gaps Int64, float64 (NaN), boolean or string. Lists,
    and columns of mixed types, are text: strings as they are, all else as JSON. The log's tail is in the
    store alone.
    """

    def __init__(self, runs: pd.DataFrame, epochs: list[tuple[str, bytes | list[EpochRow]]]) -> None:
        self.runs = runs
        self._epochs = epochs

    @cached_property
    def epochs(self) -> pd.DataFrame:
        # Made on demand, because it is as much work as all the rest and most questions are about runs.
        with _collector_paused():
            decode = msgspec.json.Decoder(list[EpochRow]).decode
            ids: list[str] = []
            rows: list[EpochRow] = []
            for run_id, epochs in self._epochs:
                try:
                    of_run = decode(epochs) if isinstance(epochs, bytes) else epochs
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    warnings.warn(f"run {run_id}: its epochs are left out: {error}", StoreWarning, stacklevel=2)
                    continue
                ids += [run_id] * len(of_run)
                rows += of_run
            columns = _columns(rows, "", len(rows)) | {"run_id": _array(ids)}
            return _frame(columns, {"run_id": "string"} if rows else EPOCH_DTYPES)

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return iter((self.runs, self.epochs))


def load(paths: Iterable[Path | str] | None = None, results: Path | str = "results") -> Frames:
    """Every run in `paths` (files, or folders of `*.jsonl`), by default in the folder `runs` of `results`.

    A line that cannot be read is named in a StoreWarning and left out; a run that is there twice counts once.
    Raises StoreError for a path that does not exist; a results folder without runs gives empty frames.
    """
    folder = Path(results) / "runs"
    files = jsonl_files(map(Path, paths) if paths is not None else [folder] if folder.is_dir() else [])
    with _collector_paused():
        reader = _Reader()
        rows = list(read_records(files, reader.decode))
        return Frames(reader.frame(rows), [(row.run_id, row.epochs) for row in rows])


def select(runs: pd.DataFrame, where: Mapping[str, str]) -> pd.DataFrame:
    """The rows whose columns have the given values, as a command line has them: `{"config.epochs": "8"}`.

    A column of numbers is compared as numbers, a column of booleans with true and false. Raises UsageError
    for a column that does not exist and for a text that no value of the column can equal.
    """
    for name, text in where.items():
        if name not in runs:
            near = difflib.get_close_matches(name, runs.columns, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"there is no column {name!r} in the runs{hint}")
        runs = runs[(runs[name] == _typed(runs[name], text)).fillna(False)]
    return runs


def export(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as CSV or Parquet, as the suffix of `path` says.

    Raises UsageError for another suffix.
    """
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        raise UsageError(f"cannot export to {path}: name a file that ends in .csv or .parquet")


class _Span(msgspec.Struct, gc=False):
    name: str
    start_s: float
    end_s: float


# A Run whose bulky parts stay JSON until it is known that they are needed and new: runs share most of them.
_LazyRun: Any = msgspec.defstruct(
    "_LazyRun",
    [
        (
            field.name,
            list[_Span] if field.name == "spans"
            else msgspec.Raw if field.name in {*PARTS, "epochs"}
            else field.type,
        )
        for field in msgspec.structs.fields(Run)
    ],
    forbid_unknown_fields=True,
    gc=False,
)  # fmt: skip


class _Reader:
    """Lines to lazy runs: each part is a position in `self.parts`, and `spans` are seconds by name."""

    def __init__(self) -> None:
        self.parts: list[dict[str, Any]] = []
        self._position: dict[bytes, int] = {}
        self._decode_run = msgspec.json.Decoder(_LazyRun).decode
        self._decode_part = msgspec.json.Decoder(dict[str, Any]).decode

    def decode(self, line: bytes) -> Any:
        """Raises RecordError where the line is no run."""
        try:
            run = self._decode_run(line)
            if run.schema != SCHEMA:
                return self._decode_slowly(line)
            for part in PARTS:
                setattr(run, part, self._intern(bytes(getattr(run, part))))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return self._decode_slowly(line)
        run.epochs = bytes(run.epochs)  # a Raw would keep its whole line in memory
        return self._with_totals(run)

    def _decode_slowly(self, line: bytes) -> Any:
        """What the fast way does not understand: older schemas, numbers that are not finite, damage."""
        full = Run.from_json_line(line)
        try:
            run = _LazyRun(**{name: getattr(full, name) for name in full.__struct_fields__})
            run.spans = msgspec.convert(full.spans, list[_Span])
        except msgspec.ValidationError as error:
            raise RecordError(f"not a run of schema {SCHEMA}: {error}") from None
        for part in PARTS:
            self.parts.append(getattr(full, part))
            setattr(run, part, len(self.parts) - 1)
        return self._with_totals(run)

    def _with_totals(self, run: Any) -> Any:
        totals: dict[str, float] = {}
        for span in run.spans:
            name = sys.intern(span.name)
            totals[name] = totals.get(name, 0.0) + span.end_s - span.start_s
        run.spans = totals
        return run

    def _intern(self, text: bytes) -> int:
        try:
            return self._position[text]
        except KeyError:
            self.parts.append(self._decode_part(text))
            self._position[text] = len(self.parts) - 1
            return len(self.parts) - 1

    def frame(self, runs: list[Any]) -> pd.DataFrame:
        columns: Columns = {name: _array([getattr(run, name) for run in runs]) for name in RUN_DTYPES}
        for name, values in _columns([run.metrics for run in runs], "", len(runs)).items():
            columns[f"metric.{name}" if name in RUN_DTYPES else name] = values
        totals = _columns([run.spans for run in runs], "span.", len(runs))
        columns |= {f"{name}_s": values for name, values in totals.items()}
        for part in PARTS:
            positions = [getattr(run, part) for run in runs]
            rank = {position: i for i, position in enumerate(dict.fromkeys(positions))}
            index = np.array([rank[position] for position in positions], dtype=np.int64)
            distinct = _columns([self.parts[position] for position in rank], f"{part}.", len(rank))
            columns |= {name: values.take(index) for name, values in distinct.items()}
        return _frame(columns, RUN_DTYPES)


def _columns(rows: list[dict[str, Any]], prefix: str, count: int) -> Columns:
    """Dotted names to arrays of `count` values: dictionaries as columns of their own, to any depth."""
    columns: Columns = {}
    for name in dict.fromkeys(chain.from_iterable(rows)):
        try:
            values = list(map(itemgetter(name), rows))
        except KeyError:
            values = [row.get(name) for row in rows]
        if dict in set(map(type, values)):
            nested = [value if type(value) is dict else {} for value in values]
            columns |= _columns(nested, f"{prefix}{name}.", count)
            values = [None if type(value) is dict else value for value in values]
            if not any(value is not None for value in values):
                continue
        columns[prefix + name] = _array(values)
    return columns


def _array(values: list[Any]) -> Any:
    """A pandas array of the one type that fits, by the rules that `Frames` states."""
    kinds = set(map(type, values))
    gaps = type(None) in kinds
    kinds.discard(type(None))
    if kinds <= {int, float} and kinds != {int}:
        return pd.array(np.array(values, dtype=np.float64), dtype="float64")
    if kinds == {int}:
        try:
            return pd.array(values, dtype="Int64" if gaps else "int64")
        except OverflowError:
            return pd.array(np.array(values, dtype=np.float64), dtype="float64")
    if kinds == {bool}:
        return pd.array(values, dtype="boolean" if gaps else "bool")
    if kinds != {str}:
        values = [v if v is None or type(v) is str else json.dumps(v, ensure_ascii=False) for v in values]
    return pd.array(values, dtype="string")


def _frame(columns: Columns, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """The standard columns first and of their types, whatever the values were."""
    standard = {
        name: pd.to_datetime(columns[name], utc=True, format="ISO8601", errors="coerce").as_unit("us")
        if dtype.startswith("datetime") and name in columns
        else pd.array(columns.get(name, []), dtype=dtype)
        for name, dtype in dtypes.items()
    }
    rest = {name: values for name, values in columns.items() if name not in dtypes}
    return pd.DataFrame(standard | rest, copy=False)


def _typed(column: pd.Series[Any], text: str) -> Any:
    """The text as a value of the column's type."""
    try:
        if pd.api.types.is_bool_dtype(column.dtype):
            return {"true": True, "false": False}[text.lower()]
        if pd.api.types.is_numeric_dtype(column.dtype):
            return float(text)
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            return pd.Timestamp(text, tz="UTC")
    except (KeyError, ValueError):
        raise UsageError(f"{column.name} is never {text!r}: the column holds {column.dtype} values") from None
    return text


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Millions of new objects make Python look for cycles again and again, and there are none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
