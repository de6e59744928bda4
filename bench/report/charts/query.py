"""A chart from a query of recorded runs: one column against another, with a colour for each value of a third."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.errors import UsageError
from bench.report.charts.chart import (
    PALETTE_SIZE,
    ChartAxis,
    ChartSeries,
    Dot,
    DotChart,
    DotRow,
    ReferenceLine,
    XYChart,
)
from bench.report.charts.scale import accuracies, scale_of, times, whole_numbers
from bench.runs.frames import Frames
from bench.runs.run import FINISHED, INVALID, NOT_IDENTITY
from bench.runs.selection import column, is_number
from bench.statistics import clustered
from bench.statistics.estimates import Estimate
from bench.statistics.reading import Reading
from bench.text import units
from bench.text.nearest import choices, did_you_mean
from bench.text.values import show_metric

# What `--x` may be beside a column of runs: a column of epochs, and how its axis is called.
CLOCKS = {"time": ("train_s", "training time"), "epoch": ("epoch", "epoch")}
# More rows or lines cannot be told apart.
MOST_ROWS = 60
MOST_LINES = 300
WHOLE = "all runs"
# So many settings are named that one mean mixes.
MOST_TOLD = 3


def chart_of(frames: Frames, runs: pd.DataFrame, x: str, y: str, by: str | None = None) -> XYChart | DotChart:
    """`y` against `x` of these rows of `frames.runs`, by the values of `by`.

    With x = time or epoch, a line a run from the epochs. With a setting, the mean at each of its values with its 95 %
    interval; with another number, such as a metric, a dot a run. Raises UsageError for columns that there are not, for
    what is no number, and for more values of `by` than there are colours.
    """
    finished = runs[runs["status"].isin(FINISHED)]
    if finished.empty:
        raise UsageError(f"none of the {units.counted(len(runs), 'run')} has finished: there is nothing to draw")
    groups = _groups(finished, by)
    told = _left_out(runs, finished) + _machines_told(finished, (x, by))
    if x in CLOCKS:
        return _over_epochs(frames.epochs, groups, x, y, finished, told)
    x_name, y_name = _x_column(finished, x), column(finished, y, "--y")
    if not is_number(finished[y_name]):
        raise UsageError(f"--y {y}: holds no numbers; choose a metric, such as accuracy, train_s or total_s")
    both = finished[x_name].notna() & finished[y_name].notna()
    told += _lacking(int((~both).sum()), f"{x} or {y}")
    groups = [(label, rows[both[rows.index]]) for label, rows in groups]
    groups = [(label, rows) for label, rows in groups if not rows.empty]
    if not groups:
        raise UsageError(f"no finished run has both {x} and {y}")
    is_setting = x_name.startswith("config.")
    if not is_number(finished[x_name]):
        return _by_name(groups, x_name, y_name, told)
    return _means(groups, x_name, y_name, told) if is_setting else _scattered(groups, x_name, y_name, told)


def _x_column(runs: pd.DataFrame, x: str) -> str:
    """The column of a name that is no clock. Raises UsageError, also with the clock that was meant."""
    try:
        return column(runs, x, "--x")
    except UsageError:
        if near := did_you_mean(x, CLOCKS):
            raise UsageError(f"--x {x}: there is no such column{near}; {' and '.join(CLOCKS)} are of epochs") from None
        raise


def _groups(runs: pd.DataFrame, by: str | None) -> list[tuple[str, pd.DataFrame]]:
    """The runs by the values of a column, each with its label."""
    if by is None:
        return [(WHOLE, runs)]
    name = column(runs, by, "--by")
    found = [(value, rows) for value, rows in runs.groupby(name, dropna=False, sort=True)]
    if len(found) > PALETTE_SIZE:
        raise UsageError(
            f"--by {by}: has {len(found)} different values, and {PALETTE_SIZE} colours can be told apart; take fewer "
            f"with --where {by}=VALUE"
        )
    return [(f"{_last(name)} = {_told(value)}", rows) for value, rows in found]


def _over_epochs(
    epochs: pd.DataFrame,
    groups: Sequence[tuple[str, pd.DataFrame]],
    x: str,
    y: str,
    runs: pd.DataFrame,
    told: str,
) -> XYChart:
    x_name, x_title = CLOCKS[x]
    if y not in epochs or not is_number(epochs[y]):
        known = [str(name) for name in epochs.columns if is_number(epochs[name]) and name != x_name]
        raise UsageError(
            f"--y {y}: no number of that name is recorded by epoch{did_you_mean(y, known)}; {choices(known, None)}"
        )
    known_epochs = epochs[epochs[[x_name, y]].notna().all(axis=1)] if x_name in epochs else epochs.iloc[:0]
    by_run = {str(run_id): rows for run_id, rows in known_epochs.groupby("run_id", sort=False)}
    series, drawn = [], 0
    for number, (label, rows) in enumerate(groups):
        lines = [by_run[run_id] for run_id in rows["run_id"] if run_id in by_run][: MOST_LINES - drawn]
        drawn += len(lines)
        points = tuple(tuple(zip(one[x_name].tolist(), one[y].tolist(), strict=True)) for one in lines)
        if points:
            series.append(ChartSeries(f"{label} (n = {len(points)})", points, number, "both", faint=len(points) > 1))
    if not series:
        raise UsageError(f"no finished run recorded {y} by {x}; `bench results columns` lists what runs have")
    told += _lacking(int((~runs["run_id"].isin(list(by_run))).sum()), f"{y} by epoch")
    xs, ys = ([point[axis] for one in series for line in one.lines for point in line] for axis in (0, 1))
    targets = _targets(runs) if y == "accuracy" else []
    cut = f" Drawn are the first {drawn} runs." if drawn == MOST_LINES else ""
    target = " The dashed line is the target." if targets else ""
    return XYChart(
        f"{y}-by-{x}",
        f"{y} by {x_title}",
        f"A line is a run; n counts those of a colour.{target}{cut}{told}",
        ChartAxis(x_title, times(xs) if x == "time" else whole_numbers(xs)),
        ChartAxis(y, accuracies(ys, targets) if y.endswith("accuracy") else scale_of(y, ys)),
        tuple(series),
        tuple(ReferenceLine(target, f"target {units.percent(target)}") for target in targets),
    )


def _means(groups: Sequence[tuple[str, pd.DataFrame]], x: str, y: str, told: str) -> XYChart:
    series, xs, ys, all_means = [], [], [], []
    for number, (label, rows) in enumerate(groups):
        by_value = rows.groupby(rows[x].astype(float), sort=True)
        means = [(float(str(value)), _mean(part, y)) for value, part in by_value]
        intervals = tuple((value, *ends) for value, found in means if (ends := found.useful_ends) is not None)
        all_means += [found for _, found in means]
        ns = sorted({found.n for _, found in means})
        n = str(ns[0]) if len(ns) == 1 else f"{ns[0]} to {ns[-1]}"
        line = tuple((value, found.value) for value, found in means)
        series.append(ChartSeries(f"{label} (n = {n} a dot)", (line,), number, "both", intervals=intervals))
        xs += [value for value, _ in line]
        ys += [value for _, value in line] + [end for _, *ends in intervals for end in ends]
    return XYChart(
        f"{y}-by-{_last(x)}",
        f"{y} by {_last(x)}",
        "The mean of n runs with its 95 % interval, where n allows one."
        f"{_hosts_told(all_means)}{_mixed_told(groups, x)}{told}",
        ChartAxis(_last(x), scale_of(_last(x), xs)),
        ChartAxis(y, scale_of(y, ys)),
        tuple(series),
    )


def _scattered(groups: Sequence[tuple[str, pd.DataFrame]], x: str, y: str, told: str) -> XYChart:
    series = tuple(
        ChartSeries(
            f"{label} (n = {len(rows)})",
            tuple((pair,) for pair in zip(rows[x].astype(float), rows[y].astype(float), strict=True)),
            number,
            "dots",
        )
        for number, (label, rows) in enumerate(groups)
    )
    xs, ys = ([line[0][axis] for one in series for line in one.lines] for axis in (0, 1))
    return XYChart(
        f"{y}-by-{x}",
        f"{y} by {x}",
        f"A dot is a run.{told}",
        ChartAxis(x, scale_of(x, xs)),
        ChartAxis(y, scale_of(y, ys)),
        series,
    )


def _by_name(groups: Sequence[tuple[str, pd.DataFrame]], x: str, y: str, told: str) -> DotChart:
    """A row for each value of `x`, with a dot for each group."""
    values = list(dict.fromkeys(value for _, rows in groups for value in sorted(rows[x].unique(), key=str)))
    if len(values) > MOST_ROWS:
        raise UsageError(f"--x {x}: has {len(values)} values, and {MOST_ROWS} rows fit; take fewer with --where")
    rows, shown, means = [], [], []
    for value in values:
        dots = []
        for number, (_, part) in enumerate(groups):
            here = part[part[x] == value]
            if not here.empty:
                found = _mean(here, y)
                means.append(found)
                numbers = here[y].astype(float).tolist()
                ends = found.useful_ends or ()
                margin = f" ± {show_metric(y, (ends[1] - ends[0]) / 2)}" if ends else ""
                text = f"{show_metric(y, found.value)}{margin}, n = {found.n}"
                dots.append(Dot.of(found, numbers, number, text))
                shown += [*numbers, *ends]
        rows.append(DotRow(_told(value), tuple(dots)))
    legend = tuple((label, number) for number, (label, _) in enumerate(groups)) if len(groups) > 1 else ()
    return DotChart(
        f"{y}-by-{_last(x)}",
        f"{y} by {_last(x)}",
        f"The mean of n runs with its 95 % interval, where n allows one; small dots are single runs."
        f"{_hosts_told(means)}{_mixed_told(groups, x)}{told}",
        ChartAxis(y, scale_of(y, shown)),
        tuple(rows),
        legend,
    )


def _mean(runs: pd.DataFrame, y: str) -> Estimate:
    """The mean over the runs or, of several hosts, over these."""
    hosts = runs["machine.host"] if "machine.host" in runs else [None] * len(runs)
    return clustered.mean(
        [
            Reading(float(value), None if pd.isna(host) else str(host), int(seed))
            for value, host, seed in zip(runs[y], hosts, runs["seed"], strict=True)
        ]
    )


def _hosts_told(means: Sequence[Estimate]) -> str:
    return " Where runs are of several hosts, each host counts once." if any(one.hosts for one in means) else ""


def _mixed_told(groups: Sequence[tuple[str, pd.DataFrame]], x: str) -> str:
    """A warning of the settings in which runs differ that one mean is of."""
    varied: dict[str, None] = {}
    for _, rows in groups:
        names = [name for name in map(str, rows.columns) if name.startswith("config.") and name != x]
        names = [name for name in names if name.split(".")[1] not in (*NOT_IDENTITY, "resolved")]
        if not names:
            continue
        counts = rows.groupby(x)[names].nunique(dropna=False)
        varied |= dict.fromkeys(_last(name) for name in names if (counts[name] > 1).any())
    if not varied:
        return ""
    told = ", ".join(list(varied)[:MOST_TOLD])
    more = f" and {len(varied) - MOST_TOLD} more" if len(varied) > MOST_TOLD else ""
    return f" Runs of one mean also differ in {told}{more}."


def _targets(runs: pd.DataFrame) -> list[float]:
    return sorted(runs["target_accuracy"].dropna().unique().tolist()) if "target_accuracy" in runs else []


def _lacking(count: int, what: str) -> str:
    return f" Not drawn: {units.counted(count, 'run')} without {what}." if count else ""


def _left_out(runs: pd.DataFrame, finished: pd.DataFrame) -> str:
    """What a reader must know of the runs."""
    contended = int(finished["contended"].fillna(False).astype(bool).sum()) if "contended" in finished else 0
    invalid = int((runs["status"] == INVALID).sum())
    missing = len(runs) - len(finished) - invalid
    left = [f"{units.counted(missing, 'run')} that did not finish"] if missing else []
    left += [f"{units.counted(invalid, 'run')} declared invalid"] if invalid else []
    told = f" Left out: {', '.join(left)}." if left else ""
    return told + (f" {contended} of {len(finished)} runs were contended." if contended else "")


def _machines_told(runs: pd.DataFrame, columns: Sequence[str | None]) -> str:
    """A warning where runs of several machines are drawn as if they were of one."""
    machines = int(runs["machine.id"].nunique()) if "machine.id" in runs else 1
    if machines < 2 or any(name and name.startswith("machine.") for name in columns):
        return ""
    return f" The runs are of {machines} machines, and times compare only on one: try --by machine.id."


def _last(name: str) -> str:
    """A column's name as recipes have it."""
    return name.removeprefix("config.")


def _told(value: Any) -> str:
    if pd.isna(value):
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
