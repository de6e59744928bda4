"""Time to target against the year, from the records since 2017, with a line for each rule."""

from __future__ import annotations

from calendar import isleap
from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from bench.report.charts.chart import PALETTE_SIZE, ChartAxis, ChartSeries, PointLabel, XYChart
from bench.report.charts.scale import log_durations, years
from bench.scores.leaderboard import Board, Row
from bench.scores.published import PublishedResult
from bench.scores.rules import RULES
from bench.scores.summary import summarise

LEAST_RECORDS = 2
OTHER = "another clock"
COLOUR: dict[str, int | None] = {rule: position % PALETTE_SIZE for position, rule in enumerate(RULES)} | {OTHER: None}
NAME_CHARS = 24
BEST_HERE = "best here"
# A record: its decimal year, its seconds, and what it is of.
Point = tuple[float, float, PublishedResult]


def history(records: Sequence[PublishedResult], boards: Sequence[Board]) -> list[XYChart]:
    """A chart for each task with dated records for its most common target."""
    charts: list[XYChart] = []
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
            charts.append(_draw(task, target, dated, len(kept) - len(dated), own))
    return charts


def year(text_date: str) -> float:
    """The decimal year; a date without a day is the middle of its month or year."""
    parts = [int(part) for part in text_date.split("-")]
    if len(parts) == 1:
        return parts[0] + 0.5
    if len(parts) == 2:
        return parts[0] + (parts[1] - 0.5) / 12
    return parts[0] + (date(*parts) - date(parts[0], 1, 1)).days / (366 if isleap(parts[0]) else 365)


def _own(board: Board) -> list[tuple[str, Row]]:
    """Our best row of a board, ranked or not."""
    best = summarise(board).ours
    return [(board.rule.name, best)] if best is not None and board.metric in best.figures else []


def _draw(
    task: str, target: float, records: list[PublishedResult], undated: int, own: list[tuple[str, Row]]
) -> XYChart:
    is_latency = task.endswith("/inference")
    by_rule: dict[str, list[Point]] = defaultdict(list)
    for record in records:
        seconds = record.time_s if record.time_s is not None else (record.latency_ms or 0) / 1000
        by_rule[record.rule or OTHER].append((year(record.date or ""), seconds, record))
    series: list[ChartSeries] = []
    labels: list[PointLabel] = []
    for rule, points in sorted(by_rule.items()):
        points.sort(key=lambda point: point[:2])
        best = _frontier(points) if rule != OTHER else []
        series.append(ChartSeries(rule, tuple(((x, y),) for x, y, _ in points), COLOUR.get(rule), "dots"))
        if best:
            series.append(ChartSeries("", (tuple((x, y) for x, y, _ in best),), COLOUR.get(rule), "steps"))
        labels += [PointLabel((x, y), _short(record), COLOUR.get(rule)) for x, y, record in best or points]
    series += [_own_series(rule, row, is_latency) for rule, row in own if rule in by_rule]
    places = [point for one in series for line in one.lines for point in line]
    told = f"{len(records)} published results by the rule book whose clock measured them; a line is the best so far."
    has_own = any(one.label.startswith(BEST_HERE) for one in series)
    stars = " The best run here is hollow where it does not qualify." if has_own else ""
    gone = f" {undated} results without a date are left out." if undated else ""
    about = "latency of one image" if is_latency else "time to target"
    return XYChart(
        f"history-{task}",
        f"{task} to {100 * target:g} %",
        f"{told} Times of different clocks do not compare. A result without a day stands in the middle of its month or "
        f"year.{stars}{gone}",
        ChartAxis("year", years(x for x, _ in places)),
        ChartAxis(about, log_durations(y for _, y in places)),
        tuple(series),
        labels=tuple(labels),
    )


def _own_series(rule: str, row: Row, is_latency: bool) -> ChartSeries:
    value = row.value("latency" if is_latency else "time").value
    point = (year(row.date or ""), value / 1000 if is_latency else value)
    return ChartSeries(f"{BEST_HERE}, {rule}", ((point,),), COLOUR.get(rule), "dots", hollow=not row.rank)


def _frontier(points: Sequence[Point]) -> list[Point]:
    """The points that are better than all earlier ones."""
    best: list[Point] = []
    for point in points:
        if not best or point[1] < best[-1][1]:
            best.append(point)
    return best


def _short(record: PublishedResult) -> str:
    return record.system.split(",")[0].split(" (")[0][:NAME_CHARS]
