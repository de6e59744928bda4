"""Time to target against the year, from the records since 2017, with a line for each rule."""

from __future__ import annotations

from calendar import isleap
from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.report.html.figure import SERIES, Plot, axes, finish
from bench.report.html.plots.ticks import duration_axis
from bench.scores.leaderboard import Board, Row
from bench.scores.published import PublishedResult
from bench.scores.rules import RULES

LEAST_RECORDS = 2
OTHER = "another clock"
COLOUR = {rule: SERIES[position] for position, rule in enumerate(RULES)} | {OTHER: SERIES[7]}
# The distance between labels, in years and in factors of time, below which they overlap.
NEAR_YEARS, NEAR_FACTOR = 1.9, 1.35
Point = tuple[float, float, float, PublishedResult]


def history(records: Sequence[PublishedResult], boards: Sequence[Board]) -> list[Plot]:
    """A plot for each task with dated records for its most common target."""
    plots: list[Plot] = []
    for task in dict.fromkeys(record.task for record in records):
        of_task = [record for record in records if record.task == task]
        targets = [record.target_accuracy for record in of_task if record.target_accuracy]
        target = max(set(targets), key=targets.count, default=None)
        kept = [record for record in of_task if record.target_accuracy == target]
        dated = [record for record in kept if record.date]
        if target is not None and len(dated) >= LEAST_RECORDS:
            own = [
                row for board in boards if (board.task, board.target_accuracy) == (task, target) for row in _own(board)
            ]
            plots.append(_draw(task, target, dated, len(kept) - len(dated), own))
    return plots


def year(text_date: str) -> tuple[float, float]:
    """The decimal year and its uncertainty; a date without a day is the middle of its month or year."""
    parts = [int(part) for part in text_date.split("-")]
    if len(parts) == 1:
        return parts[0] + 0.5, 0.5
    if len(parts) == 2:
        return parts[0] + (parts[1] - 0.5) / 12, 0.5 / 12
    return parts[0] + (date(*parts) - date(parts[0], 1, 1)).days / (366 if isleap(parts[0]) else 365), 0.0


def _own(board: Board) -> list[tuple[str, Row]]:
    """Our best row of a board, ranked or not."""
    rows = [row for row in (*board.ranked, *board.unranked) if row.kind == "run" and board.metric in row.figures]
    best = min(rows, key=lambda row: (row.rank is None, row.value(board.metric).value), default=None)
    return [(board.rule.name, best)] if best else []


def _draw(task: str, target: float, records: list[PublishedResult], undated: int, own: list[tuple[str, Row]]) -> Plot:
    figure, (ax, *_) = axes(7.2, 4.6)
    metric = "latency" if task.endswith("/inference") else "time"
    by_rule: dict[str, list[Point]] = defaultdict(list)
    for record in records:
        seconds = record.time_s if record.time_s is not None else (record.latency_ms or 0) / 1000
        by_rule[record.rule or OTHER].append((*year(record.date or ""), seconds, record))
    labelled: list[tuple[float, float]] = []
    for rule, points in sorted(by_rule.items()):
        points.sort(key=lambda point: (point[0], point[2]))
        colour = COLOUR[rule]
        ax.errorbar(
            [x for x, *_ in points], [y for _, _, y, _ in points], xerr=[[off for _, off, *_ in points]] * 2,
            fmt="o", markersize=4.5, color=colour, elinewidth=0.8, alpha=0.9, label=rule,
        )  # fmt: skip
        best = _frontier(points)
        if rule != OTHER:
            ax.plot([x for x, *_ in best], [y for _, _, y, _ in best], drawstyle="steps-post", color=colour, lw=1.4)
        for x, _, y, record in best if rule != OTHER else points:
            _label(ax, labelled, x, y, record, colour)
    own = [(rule, row) for rule, row in own if rule in by_rule]
    for rule, row in own:
        value = row.value("latency" if metric == "latency" else "time").value
        ax.plot(
            [year(row.date or "")[0]], [value / 1000 if metric == "latency" else value],
            marker="*", markersize=12, color=COLOUR[rule], fillstyle="full" if row.rank else "none", linestyle="none",
        )  # fmt: skip
    ax.set_yscale("log")
    every = [point[2] for points in by_rule.values() for point in points]
    duration_axis(ax.yaxis, min(every), max(every), log=True)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlim(
        right=max(
            [point[0] for points in by_rule.values() for point in points] + [year(row.date or "")[0] for _, row in own]
        )
        + 0.9
    )
    ax.set_title(f"{task} to {100 * target:g} %")
    ax.legend(title="clock of", loc="upper right")
    told = f"{len(records)} published results by the rule book whose clock measured them; a line is the best so far."
    stars = " Stars are the best runs here, hollow where they do not qualify." if own else ""
    gone = f" {undated} results without a date are left out." if undated else ""
    about = "Latency of one image" if metric == "latency" else "Time to target"
    name = f"history-{task.replace('/', '-')}"
    return finish(
        figure,
        name,
        f"{about} against the year, {task}",
        f"{told} Times of different clocks do not compare.{stars}{gone}",
    )


def _frontier(points: Sequence[Point]) -> list[Point]:
    """The points that are better than all earlier ones."""
    best: list[Point] = []
    for point in points:
        if not best or point[2] < best[-1][2]:
            best.append(point)
    return best


def _label(
    ax: Axes, labelled: list[tuple[float, float]], x: float, y: float, record: PublishedResult, colour: str
) -> None:
    if any(
        abs(x - other_x) < NEAR_YEARS and 1 / NEAR_FACTOR < y / other_y < NEAR_FACTOR for other_x, other_y in labelled
    ):
        return
    labelled.append((x, y))
    shown = record.system.split(",")[0].split(" (")[0][:24]
    ax.annotate(shown, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=7.5, color=colour)
