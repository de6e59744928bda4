"""The store as two tidy pandas frames: a row a run, and a row a run and epoch."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from bench.host.gc_pause import collector_paused
from bench.runs.annotated_frame import annotated
from bench.runs.annotation import Annotation, Annotations
from bench.runs.columns import join_tables, pack, show, strings
from bench.runs.store import StoreError, jsonl_files, warn_of_problems
from bench.runs.table_cache import read_table
from bench.runs.tables import (
    EPOCH,
    FIELDS,
    LINE,
    METRIC,
    PART,
    PARTS,
    SPAN,
    EpochReader,
    RunReader,
    without_annotations,
)

# The columns that always exist, and their types.
RUN_DTYPES = FIELDS
EPOCH_DTYPES = {"run_id": "string", "epoch": "int64"}
# The position of a row's file in the list of files.
FILE = "file"

Columns = dict[str, Any]


class Frames:
    """Two frames, also to be unpacked: `runs, epochs = load()`.

    `runs` has a row for each run with these columns: RUN_DTYPES; every metric under its own name (or `metric.NAME` if
    RUN_DTYPES has that name); `span.NAME_s`, the host seconds in all spans of that name, NaN if there was none; and
    `config.`, `machine.`, `code.`, `data.` and `versions.` with the dotted keys of those parts. `epochs` has a row for
    each run and epoch: `run_id` and what the run recorded in that epoch. `status`, `reason`, `tags`, `notes` and
    `machine.label` hold what annotations say too. `lr` and `momentum` are those of the
    parameters named by `lr_role`, or in older runs, which lack it, of the network's first parameters.

    A column is int64, float64, bool or string; with gaps Int64, float64 (NaN), boolean or string. Lists and columns of
    mixed types are text: strings are unchanged, everything else is JSON. The frames do not contain the log's tail.
    """

    def __init__(self, table: pa.Table, files: list[Path], said: Annotations) -> None:
        """`table` is made by RunReader, has each run once, and for each row the position of its FILE in `files`."""
        self.files, self._rows = files, table.select([FILE, LINE, "run_id"])
        self.runs = annotated(_runs_frame(table), said)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """The epochs, read on first use because it takes long. Raises StoreError if a file was replaced in the
        meantime."""
        with collector_paused():
            tables = [self._epochs_in(position, path) for position, path in enumerate(self.files)]
            table = join_tables(tables) if tables else pa.table({})
            columns = {name.removeprefix(EPOCH): _shown(table[name]) for name in table.column_names}
            return _frame(columns, {"run_id": "string"} if table.num_rows else EPOCH_DTYPES)

    def _epochs_in(self, position: int, path: Path) -> pa.Table:
        rows = self._rows.filter(pc.equal(self._rows[FILE], position))
        table, problems = read_table(path, EpochReader)
        lines = rows[LINE].to_numpy()
        warn_of_problems(path, [problem for problem in problems if problem[0] in lines])
        # Epochs of lines without a valid run, and of repeated runs, do not count.
        table = table.filter(pa.array(np.isin(table[LINE].to_numpy(), lines)))
        owner = np.searchsorted(lines, table[LINE].to_numpy())
        if not rows["run_id"].take(owner).equals(table["run_id"]):
            raise StoreError(f"{path} was replaced after its runs were read; load it again")
        return table.drop_columns([LINE])

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return iter((self.runs, self.epochs))


def load(
    paths: Iterable[Path | str] | None = None,
    results: Path | str = "results",
    run_ids: Collection[str] | None = None,
) -> Frames:
    """Every run in `paths` (files, or folders of `*.jsonl`), by default those in the folder `runs` of `results`.

    With `run_ids` these runs alone.
    A line that cannot be read is left out with a StoreWarning; a repeated run counts once. Raises StoreError for a path
    that does not exist. A results folder without runs gives empty frames.
    """
    folder = Path(results) / "runs"
    files = jsonl_files(map(Path, paths) if paths is not None else [folder] if folder.is_dir() else [])
    with collector_paused():
        tables = []
        said: list[Annotation] = []
        for position, path in enumerate(files):
            table, problems = read_table(path, RunReader)
            warn_of_problems(path, problems)
            table, annotations = without_annotations(table)
            said += annotations
            tables.append(table.append_column(FILE, pa.array(np.full(table.num_rows, position))))
        table = _each_run_once(join_tables(tables)) if tables else _NO_RUNS
        if run_ids is not None:
            table = table.filter(pc.is_in(table["run_id"], pa.array(list(run_ids), table["run_id"].type)))
        return Frames(table, files, Annotations(said))


def _each_run_once(table: pa.Table) -> pa.Table:
    again = strings(table["run_id"].combine_chunks()).duplicated()
    return table.filter(pa.array(~again)) if again.any() else table


def _runs_frame(table: pa.Table) -> pd.DataFrame:
    columns: Columns = {name: _shown(table[name]) for name in RUN_DTYPES}
    for name in table.column_names:
        if name.startswith(METRIC):
            metric = name.removeprefix(METRIC)
            columns[name.replace(":", ".") if metric in RUN_DTYPES else metric] = _shown(table[name])
    for name in table.column_names:
        if name.startswith(SPAN):
            columns[f"span.{name.removeprefix(SPAN)}_s"] = _shown(table[name])
    for part in PARTS:
        shared = table[PART + part].combine_chunks()
        positions, distinct = pd.factorize(shared.indices.to_numpy())
        values = [_part(text) for text in shared.dictionary.take(pa.array(distinct)).to_pylist()]
        spread = _spread(values, f"{part}.")
        columns |= {name: column.take(positions) for name, column in spread.items()}
    return _frame(columns, RUN_DTYPES)


def _part(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        return dict(json.loads(text))  # which knows NaN


def _spread(rows: list[dict[str, Any]], prefix: str) -> Columns:
    """Arrays with a value for each row, by dotted name: nested dictionaries become columns of their own."""
    columns: Columns = {}
    for name in dict.fromkeys(chain.from_iterable(rows)):
        values = [row.get(name) for row in rows]
        if dict in set(map(type, values)):
            nested = [value if type(value) is dict else {} for value in values]
            columns |= _spread(nested, f"{prefix}{name}.")
            values = [None if type(value) is dict else value for value in values]
            if not any(value is not None for value in values):
                continue
        columns[prefix + name] = show(pack(values))
    return columns


def _shown(column: pa.ChunkedArray) -> Any:
    return show(column.combine_chunks())


def _frame(columns: Columns, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """A frame that begins with the standard columns in their fixed types."""
    standard = {name: pd.array(columns.get(name, []), dtype=dtype) for name, dtype in dtypes.items()}
    rest = {name: values for name, values in columns.items() if name not in dtypes}
    return pd.DataFrame(standard | rest)


_NO_RUNS = without_annotations(RunReader().table([], []))[0].append_column(FILE, pa.array([], pa.int64()))
