"""Which of the recorded runs a command is about: its options, and the runs that meet them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from bench.cli import completion
from bench.cli.options import Results
from bench.errors import UsageError
from bench.runs.frames import Frames, load
from bench.runs.lookup import PUBLISHED
from bench.runs.selection import select
from bench.runs.store import StoreError
from bench.scores.scaling import efficiency_by_run
from bench.text.nearest import choices, did_you_mean

_AGES = {"m": pd.Timedelta(minutes=1), "h": pd.Timedelta(hours=1), "d": pd.Timedelta(days=1), "w": pd.Timedelta(days=7)}
_TIME = re.compile(
    r"[0-9]{4}(-[0-9]{2}(-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?"
)


@dataclass(frozen=True, kw_only=True)
class Filter:
    """The runs of the store below `results` that meet every condition."""

    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE",
            help="Only runs that meet this; repeatable. Also != < <= > >= and ~ (contains); null means missing.",
        ),
    ] = None
    status: Annotated[list[str] | None, typer.Option(help="Only runs that ended so; repeatable.")] = None
    tag: Annotated[list[str] | None, typer.Option(help="Only runs with this tag; repeatable.")] = None
    recipe: Annotated[str | None, typer.Option(help="Only runs of this recipe.", autocompletion=completion.recipes)] = (
        None
    )
    sweep: Annotated[str | None, typer.Option(help="Only runs of this sweep.", autocompletion=completion.matrices)] = (
        None
    )
    since: Annotated[
        str | None, typer.Option(help="Only runs begun since: 2026-11-20, 2026-11-20T18:00 (UTC), 12h, 7d.")
    ] = None
    results: Results = Path("results")

    def load(self, files: Sequence[Path] | None = None) -> Frames:
        """Every run of these files and folders, or else of the store. Raises StoreError where there is none."""
        frames = load(files or None, self.results)
        if frames.runs.empty:
            where = ", ".join(map(str, files)) if files else f"{self.results / 'runs'} yet"
            folder = self.results / PUBLISHED
            published = f"; {folder} has published ones" if not files and folder.is_dir() else ""
            raise StoreError(
                f"there are no runs in {where}: `bench run digits` makes one, "
                "`bench results merge FILE` brings some from elsewhere, --results names another folder"
                f"{published}"
            )
        return frames

    def apply(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Raises UsageError for what cannot be asked for."""
        # Run ids sort by time, which the lines of merged files need not.
        runs = runs.sort_values(["started_at", "run_id"], kind="stable")
        cost = runs.get("total_s", float("nan")) / 3600 * runs["price_per_hour"]
        runs = pd.concat([runs, cost.rename("cost_dollars"), efficiency_by_run(runs)], axis=1)
        conditions = list(self.where or ())
        for name, value in (("recipe", self.recipe), ("sweep", self.sweep)):
            if value is not None:
                _check_known(runs, name, [value])
                conditions.append(f"{name}={value}")
        if self.since is not None:
            conditions.append(f"started_at>={_moment(self.since)}")
        if self.status:
            _check_known(runs, "status", self.status)
            runs = runs[runs["status"].isin(self.status)]
        for tag in self.tag or ():
            runs = runs[_has_tag(runs, tag)]
        return select(runs, conditions)


def _check_known(runs: pd.DataFrame, name: str, values: Sequence[str]) -> None:
    """Raises UsageError for a value that no run has, with those that there are."""
    known = sorted(runs[name].dropna().unique())
    for value in values:
        if value not in known:
            near, there_are = did_you_mean(value, known), choices(known, f"bench results --by {name}")
            raise UsageError(f"--{name} {value[:80]}: no run has it{near}; {there_are}")


def _has_tag(runs: pd.DataFrame, tag: str) -> pd.Series[bool]:
    """Raises UsageError for a tag that no run has, with those that there are."""
    tags = runs["tags"].fillna("").str.split(", ")
    known = sorted({one for words in tags for one in words if one})
    if tag not in known:
        near, there_are = did_you_mean(tag, known), choices(known, "bench results --columns tags")
        raise UsageError(f"--tag {tag[:80]}: no run has it{near}; {there_are}")
    return tags.map(lambda words: tag in words).astype(bool)


def _moment(text: str) -> str:
    """A time, or how long ago: `2026-11-20`, `90m`, `12h`, `7d`."""
    age = re.fullmatch(r"([0-9]{1,6})([mhdw])", text)
    try:
        if age is not None:
            return _in_our_era(pd.Timestamp.now("UTC") - int(age[1]) * _AGES[age[2]])
        if not _TIME.fullmatch(text):
            raise ValueError
        return _in_our_era(pd.Timestamp(text).as_unit("us"))
    except (ValueError, OverflowError):  # the latter for an age beyond what pandas can hold
        raise UsageError(
            f"--since {text}: give a UTC date or time, 2026-11-20T18:00, or an age: 90m, 12h, 7d, 2w"
        ) from None


def _in_our_era(moment: pd.Timestamp) -> str:
    """Raises ValueError for a year before 1, which no column of times holds."""
    if moment.year < 1:
        raise ValueError
    return str(moment)
