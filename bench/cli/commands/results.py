"""`bench results`: list, filter, average, show, export and merge what was recorded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from rich.console import Console

from bench.errors import UsageError
from bench.report.terminal.results import AVERAGED, fitted, groups_table, overview, run_in_full, runs_table
from bench.runs.frames import Frames, load
from bench.runs.lookup import find_run
from bench.runs.merging import merge
from bench.runs.selection import aggregate, columns, export, is_number, select, sort
from bench.runs.store import Store, StoreError
from bench.scores.scaling import efficiency_by_run
from bench.text import streams
from bench.text.console import say, write_out
from bench.text.spreadsheet import as_csv

# Runs in a table, where no number is asked for.
NEWEST = 50
DOUBTS_NAMED = 5
_AGES = {"m": pd.Timedelta(minutes=1), "h": pd.Timedelta(hours=1), "d": pd.Timedelta(days=1), "w": pd.Timedelta(days=7)}
_TIME = re.compile(
    r"[0-9]{4}(-[0-9]{2}(-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?"
)

Format = Literal["table", "csv", "json"]


@dataclass(frozen=True)
class Filter:
    """Which runs: those of the store below `results` that meet every condition."""

    results: Path = Path("results")
    where: Sequence[str] = ()
    status: Sequence[str] = ()
    recipe: str | None = None
    sweep: str | None = None
    since: str | None = None

    def load(self) -> Frames:
        """Every run of the store. Raises StoreError where there is none."""
        frames = load(results=self.results)
        if frames.runs.empty:
            raise StoreError(
                f"there are no runs in {self.results / 'runs'} yet: `bench run digits` makes one, "
                "`bench results merge FILE` brings some from elsewhere, --results names another folder"
            )
        return frames

    def apply(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Raises UsageError for what cannot be asked for."""
        # Run ids sort by time, which the lines of merged files need not.
        runs = runs.sort_values(["started_at", "run_id"], kind="stable")
        cost = runs.get("total_s", float("nan")) / 3600 * runs["price_per_hour"]
        runs = pd.concat([runs, cost.rename("cost_dollars"), efficiency_by_run(runs)], axis=1)
        conditions = list(self.where)
        for name, value in (("recipe", self.recipe), ("sweep", self.sweep)):
            if value is not None:
                _check_known(runs, name, [value])
                conditions.append(f"{name}={value}")
        if self.since is not None:
            conditions.append(f"started_at>={_moment(self.since)}")
        if self.status:
            _check_known(runs, "status", self.status)
            runs = runs[runs["status"].isin(list(self.status))]
        return select(runs, conditions)


@dataclass(frozen=True)
class Listing:
    """How the runs are shown; a `limit` of None is NEWEST in a table and all of them elsewhere, 0 is all of them."""

    columns: Sequence[str] = ()
    sort: Sequence[str] = ()
    limit: int | None = None
    by: Sequence[str] = ()
    format: Format = "table"


def list_runs(filter: Filter, listing: Listing, console: Console) -> None:
    """The runs, the newest last, or with `by` the statistics of each group of them."""
    recorded = filter.load().runs
    runs = everything = filter.apply(recorded)
    if everything.empty and listing.format == "table":
        say(console, f"None of the {_count(len(recorded), 'run')} in {filter.results / 'runs'} meets all of this")
        return
    if listing.by:
        usual = [name for name in AVERAGED if name in runs and is_number(runs[name]) and name not in listing.by]
        metrics = listing.columns or usual
        groups = aggregate(runs, listing.by, metrics)
        _write(sort(groups, listing.sort) if listing.sort else groups, listing.format, console, groups_table)
        return
    if listing.sort:
        runs = sort(runs, listing.sort)
    hidden: list[str] = []
    limit = NEWEST if listing.limit is None and listing.format == "table" else listing.limit
    if limit:
        runs = runs.tail(limit)
    if listing.columns:
        shown = runs[columns(runs, listing.columns, "--columns")]
    elif listing.format == "table":
        shown, hidden = fitted(overview(runs), console)
    else:
        shown = runs
    _write(shown, listing.format, console, runs_table)
    if listing.format == "table":
        left_out = f", the last {len(runs)} shown: --limit 0 shows all" if len(runs) < len(everything) else ""
        narrow = f"; this terminal is too narrow for {', '.join(hidden)}" if hidden else ""
        say(console, f"{_count(len(everything), 'run')}{left_out}{narrow}")


def list_columns(filter: Filter, console: Console) -> None:
    """Every column by which runs can be filtered, sorted and shown, with its type and how many runs have it."""
    runs = filter.apply(filter.load().runs)
    counts = runs.notna().sum()
    frame = pd.DataFrame(
        {"column": list(runs.columns), "type": [str(dtype) for dtype in runs.dtypes], "runs": counts.tolist()}
    )
    _write(frame, "table", console, runs_table)


def show_run(results: Path, wanted: str, as_json: bool, console: Console) -> None:
    """One run in full, by the beginning of its id or of the digits after the dash; `last` is the newest.

    Raises UsageError where no run, or more than one, is meant.
    """
    run, path = find_run(wanted, results)
    if as_json:
        write_out(run.to_json_line().decode(), is_json=True)
        return
    for title, part in run_in_full(run, str(path)):
        console.print(title, style="bold", markup=False, highlight=False)
        console.print(part, markup=False, highlight=False, soft_wrap=isinstance(part, str))
        console.print()


def export_runs(filter: Filter, path: Path, epochs: bool, console: Console) -> None:
    """Write the runs, or the epochs of these runs, to a CSV or Parquet file."""
    frames = filter.load()
    frame = filter.apply(frames.runs)
    if epochs:
        frame = frames.epochs[frames.epochs["run_id"].isin(frame["run_id"])]
    export(frame, path)
    say(console, f"{path}: {_count(len(frame), 'epoch' if epochs else 'run')}, {len(frame.columns)} columns")


def merge_files(results: Path, paths: Sequence[Path], dry_run: bool, console: Console) -> None:
    """Take over the runs that the store has not yet."""
    store = Store(results / "runs" / "runs.jsonl")
    verb = "would be added" if dry_run else "added"
    if not dry_run:
        streams.work_outlasts_output()
    merged = merge(store, paths, dry_run)
    for one in merged:
        say(console, f"{one.path}: {one.new} {verb}, {one.known} already there")
        for doubt in one.impossible[:DOUBTS_NAMED]:
            say(console, f"{one.path}: impossible: {doubt}; no board ranks it")
        if len(one.impossible) > DOUBTS_NAMED:
            say(console, f"{one.path}: {len(one.impossible) - DOUBTS_NAMED} more runs have such numbers")
    say(console, f"{_count(sum(one.new for one in merged), 'run')} {verb} to {store.path}")


def _write(frame: pd.DataFrame, format: Format, console: Console, table: object) -> None:
    if format == "csv":
        write_out(as_csv(frame))
    elif format == "json":
        content = frame.to_json(orient="records", date_format="iso", double_precision=15, indent=2)
        write_out(f"{content}\n", is_json=True)
    elif callable(table):
        console.print(table(frame), soft_wrap=not console.is_terminal)


def _check_known(runs: pd.DataFrame, name: str, values: Sequence[str]) -> None:
    """Raises UsageError for a value that no run has, with those that there are."""
    known = sorted(runs[name].dropna().unique())
    for value in values:
        if value not in known:
            raise UsageError(f"--{name} {value}: no run has it; there are {', '.join(known) or 'none with any'}")


def _moment(text: str) -> str:
    """A time, or how long ago: `2026-11-20`, `90m`, `12h`, `7d`."""
    age = re.fullmatch(r"([0-9]{1,6})([mhdw])", text)
    try:
        if age is not None:
            return str(pd.Timestamp.now("UTC") - int(age[1]) * _AGES[age[2]])
        if not _TIME.fullmatch(text):
            raise ValueError
        return str(pd.Timestamp(text).as_unit("us"))
    except ValueError:
        raise UsageError(
            f"--since {text}: give a UTC date or time, 2026-11-20T18:00, or an age: 90m, 12h, 7d, 2w"
        ) from None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
