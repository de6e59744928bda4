"""Selects rows and columns of the frame of runs, sorts them, and aggregates numbers by group."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.documents import core_schema
from bench.errors import UsageError
from bench.files import replacing
from bench.runs.store import StoreError
from bench.text.nearest import did_you_mean
from bench.text.spreadsheet import as_csv
from bench.text.undecodable import readable

_CONDITION = re.compile(r"(?P<column>[^=<>!~]+)(?P<operator>>=|<=|!=|=|<|>|~)(?P<value>.*)", re.DOTALL)
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
STATISTICS = ("n", "mean", "median", "sd")


def select(frame: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """The rows that meet every condition of the command line, such as `accuracy>=0.94` or `config.model.name~wide`.

    The operators are = != < <= > >= and ~, which searches the value's text, ignoring case. Numbers are compared as
    numbers, times as UTC times, booleans with true and false. `null` means missing; a missing value differs from every
    value and is neither more nor less. Raises UsageError for a malformed condition, an unknown column, and a value that
    the column cannot hold.
    """
    for condition in conditions:
        match = _CONDITION.fullmatch(condition)
        if match is None:
            raise UsageError(f"--where {condition}: give COLUMN=VALUE, or another of {' '.join(_OPERATORS)} ~")
        name, sign, text = match["column"].strip(), match["operator"], readable(match["value"].strip())
        frame = frame[_meets(frame[column(frame, name, f"--where {condition}")], sign, text)]
    return frame


def column(frame: pd.DataFrame, name: str, origin: str) -> str:
    """The column of a name, or of a key as recipes, matrices and --set use it.

    So `model.width` is `config.model.width`, and `model`, as in `model: darknet`, is `config.model.name`. Raises
    UsageError with the nearest names if there is none.
    """
    for one in (name, f"config.{name}", f"config.{name}.name", f"{name}.name"):
        if one in frame:
            return one
    short = not name.startswith("config.")
    known = [full.removeprefix("config.") if short else full for full in map(str, frame.columns)]
    raise UsageError(
        f"{origin}: there is no column {name!r} in these runs{did_you_mean(name, known)}; "
        "`bench results columns` lists all"
    )


def columns(frame: pd.DataFrame, names: Sequence[str], origin: str) -> list[str]:
    """Several columns. Raises UsageError for one that does not exist or is named twice."""
    found = [column(frame, name, origin) for name in names]
    for position, one in enumerate(found):
        if one in found[:position]:
            raise UsageError(f"{origin}: {names[position]} stands twice; name each column once")
    return found


def sort(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The rows sorted by some columns, `-NAME` in descending order; missing values come first."""
    names = columns(frame, [name.removeprefix("-") for name in by], "--sort")
    ascending = [not name.startswith("-") for name in by]
    return frame.sort_values(names, ascending=ascending, kind="stable", na_position="first")


def aggregate(frame: pd.DataFrame, by: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """A row for each group and metric: the group's columns, the metric's name, n, mean, median, sd.

    n counts the runs of the group that have the metric; sd is the sample standard deviation (n - 1), NaN for n < 2.
    Groups are sorted by their columns; missing values form a group of their own. A metric that no run of a group has is
    left out.
    """
    groups_by = columns(frame, by, "--by")
    metrics = columns(frame, metrics, "--columns")
    for name in groups_by:
        if name in ("metric", *STATISTICS):
            raise UsageError(f"--by {name}: a column of the answer has this name; group by another one")
    if wrong := next((name for name in metrics if not is_number(frame[name])), None):
        raise UsageError(f"--columns {wrong}: {_kind(frame[wrong])} has no mean; choose columns of numbers")
    if shared := next((name for name in metrics if name in groups_by), None):
        raise UsageError(f"--columns {shared}: stands in --by too, and within a group it does not vary")
    tables = []
    for metric in metrics:
        groups = frame.groupby(groups_by, dropna=False, sort=True)[metric]
        table = groups.agg(n="count", mean="mean", median="median", sd="std").reset_index()
        table.insert(len(groups_by), "metric", metric)
        tables.append(table[table["n"] > 0])
    if not tables:
        return pd.DataFrame(columns=[*groups_by, "metric", *STATISTICS])
    # Stable, so that the metrics of a group keep the requested order.
    return pd.concat(tables, ignore_index=True).sort_values(groups_by, kind="stable", ignore_index=True)


def is_number(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)


def export(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as CSV or Parquet, depending on the suffix of `path`; an existing file is replaced.

    Raises UsageError for another suffix, StoreError if the file cannot be written.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise UsageError(f"cannot export to {path}: name a file that ends in .csv, .parquet or .jsonl")
    try:
        with replacing(path) as draft:
            if path.suffix == ".csv":
                draft.write_text(as_csv(frame), encoding="utf-8", newline="")
            else:
                with draft.open("wb") as file:  # pyarrow cannot open a name that is not UTF-8
                    frame.to_parquet(file, index=False)
    except OSError as error:
        raise StoreError(f"cannot export to {path}: {error.strerror or error}; name another file") from None


def _meets(column: pd.Series[Any], sign: str, text: str) -> pd.Series[bool]:
    if text == "null" and sign in ("=", "!="):
        return column.isna() if sign == "=" else column.notna()
    if sign == "~":
        return column.astype("string").str.contains(text, case=False, regex=False).fillna(False).astype(bool)
    answers: pd.Series[bool] = _OPERATORS[sign](column, _typed(column, text))
    return answers.where(column.notna(), sign == "!=").astype(bool)


def _kind(column: pd.Series[Any]) -> str:
    """The kind of values in a column, in words."""
    if is_number(column):
        return "numbers"
    if pd.api.types.is_bool_dtype(column.dtype):
        return "true and false"
    return "times in UTC" if pd.api.types.is_datetime64_any_dtype(column.dtype) else "text"


def _typed(column: pd.Series[Any], text: str) -> Any:
    """The text as a value of the column's type."""
    try:
        if pd.api.types.is_bool_dtype(column.dtype):
            return {"true": True, "false": False}[text.lower()]
        if pd.api.types.is_numeric_dtype(column.dtype):
            # Not as a float, which would take one large seed for another.
            return core_schema.number(text)
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            time = pd.Timestamp(text)
            if pd.isna(time):
                raise ValueError
            return time.tz_localize("UTC") if time.tz is None else time
    except (KeyError, ValueError):
        raise UsageError(f"{column.name} is never {text[:40]!r}: the column holds {_kind(column)}") from None
    return text
