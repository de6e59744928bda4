"""The leaderboard: our runs and published records ranked together, a board for each rule, task and target.

Rule books score the runs; a published record keeps the figure of its own clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from bench.host.gc_pause import collector_paused
from bench.runs.labels import hardware, is_imported
from bench.runs.run import Run
from bench.scores.published import PublishedResult
from bench.scores.rules import Rule, RunTimeline, Score, groups, position, repeats, rules_for
from bench.scores.rules.task import is_subset, task
from bench.scores.rules.trials import representative
from bench.statistics.estimates import Estimate
from bench.text import units

Metric = Literal["time", "cost", "latency", "energy"]
Kind = Literal["run", "imported", "record"]
Key = tuple[str, str, float]
# The metrics of each task; a board is ranked by the first unless another is asked for.
METRICS: dict[str, tuple[Metric, ...]] = {"train": ("time", "cost", "energy"), "inference": ("latency", "cost")}
# Records are rounded to milliseconds, or to millionths of one.
SAME_RESULT = 1e-3
# How what users say of their runs begins.
TAGS, NOTE = "tags: ", "note: "
# The footnotes that say why a score has no cost.
_NO_COST = ("price_unknown", "spot_price")
# Of reasons that leave nothing to be compared with others.
NOT_CREDIBLE = ("impossible", "invalid")


@dataclass(frozen=True)
class Row:
    """One competitor: the runs of a cell on a machine, an entry of others that was imported, or a published record.

    `figures` are its results by metric (s, USD, ms, J); those of a record have no interval. `rank` counts from 1 and is
    None for a row that is not ranked; `reasons` say why. A record of another clock has no rank but a `standing`, the
    place that its number would have, or None if nothing is ranked. The evidence is `runs` and `score`, or `record`.
    """

    kind: Kind
    system: str
    hardware: str
    figures: dict[Metric, Estimate]
    n: int | None = None
    author: str | None = None
    date: str | None = None
    accuracy: float | None = None
    reached: int | None = None
    notes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    rank: int | None = None
    tied: bool = False
    standing: int | None = None
    score: Score | None = None
    runs: tuple[Run, ...] = ()
    record: PublishedResult | None = None

    def value(self, metric: Metric) -> Estimate:
        """Its figure. Raises KeyError if it has none."""
        return self.figures[metric]

    @property
    def id(self) -> str:
        """The cell's hash, or the record's name."""
        return self.record.id if self.record else self.runs[0].cell

    @property
    def is_credible(self) -> bool:
        """Whether its numbers are possible, and nobody declared all its runs invalid."""
        return self.score is None or all(reason.code not in NOT_CREDIBLE for reason in self.score.reasons)

    @property
    def command(self) -> str:
        """The command that made it; empty for results of others."""
        return next((run.command for run in self.runs if run.command), "")


@dataclass(frozen=True)
class Board:
    """All competitors under one rule for one task and target accuracy: ranked, not ranked, and on other clocks."""

    rule: Rule
    task: str
    target_accuracy: float
    metric: Metric
    ranked: tuple[Row, ...] = ()
    unranked: tuple[Row, ...] = ()
    elsewhere: tuple[Row, ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        return self.ranked + self.unranked + self.elsewhere


@dataclass
class _Draft:
    rule: Rule
    rows: list[Row] = field(default_factory=list)
    records: list[Row] = field(default_factory=list)


@collector_paused()
def boards(
    runs: Iterable[Run],
    records: Sequence[PublishedResult],
    rule: str | None = None,
    task_name: str | None = None,
    metric: Metric | None = None,
    price_per_hour: float | None = None,
) -> list[Board]:
    """Every board with something to rank or to explain, in the order of tasks, targets and rules.

    `rule`, `task_name` and `metric` restrict the boards; without a metric, a task is ranked by its first of METRICS.
    `price_per_hour` (dollars, on demand) replaces the price in our runs. Runs without a target, interrupted runs, those
    on a part of a published data set, and measures that no rule scores are on no board.
    """
    drafts: dict[Key, _Draft] = {}
    for key, book, row in _scored(_not_known(runs, records), rule, task_name, price_per_hour):
        drafts.setdefault(key, _Draft(book)).rows.append(row)
    for record in records:
        target = record.target_accuracy
        if record.rule and target and rule in (None, record.rule) and task_name in (None, record.task):
            book = next(book for book in rules_for(_measure(record.task)) if book.name == record.rule)
            drafts.setdefault((record.rule, record.task, target), _Draft(book)).records.append(_of_record(record))
    keys = sorted(drafts, key=lambda key: (key[1], key[2], position(key[0])))
    made = []
    for key in keys:
        wanted = metric or METRICS[_kind(key[1])][0]
        if wanted in METRICS[_kind(key[1])]:
            made.append(_board(drafts[key], key, wanted, records))
    return [board for board in made if board.ranked or board.unranked]


def rank(rows: Iterable[Row], metric: Metric) -> list[Row]:
    """The rows from best to worst, with their ranks.

    A row shares a rank if its interval overlaps that of the first row of this rank; the next rank is the row's
    position: 1, 2, 2, 4. Comparing with the first row and not with the neighbour prevents long chains of ties. A row
    without an interval counts as a point.
    """
    ordered = sorted(rows, key=lambda row: (row.value(metric).value, row.system, row.id))
    shared: list[list[Row]] = []
    for row in ordered:
        if shared and shared[-1][0].value(metric).overlaps(row.value(metric)):
            shared[-1].append(row)
        else:
            shared.append([row])
    ranked: list[Row] = []
    for alike in shared:
        place, tied = len(ranked) + 1, len(alike) > 1
        ranked += [replace(row, rank=place, tied=tied) for row in alike]
    return ranked


def _board(draft: _Draft, key: Key, metric: Metric, records: Sequence[PublishedResult]) -> Board:
    _, task_name, target = key
    qualified = [row for row in draft.rows if not row.reasons and metric in row.figures]
    ranked = rank([*qualified, *(row for row in draft.records if metric in row.figures)], metric)
    unranked = [row for row in draft.rows if row.reasons]
    unranked += [
        replace(row, reasons=(_why_missing(row, metric),))
        for row in [*draft.rows, *draft.records]
        if not row.reasons and metric not in row.figures
    ]
    elsewhere = []
    for record in records:
        if record.task == task_name and record.rule != draft.rule.name and _competes(record, target):
            row = _of_record(record)
            if metric in row.figures:
                better = sum(other.value(metric).value < row.value(metric).value for other in ranked)
                reasons = (f"other clock: {record.clock or record.rule or 'not said'}",)
                elsewhere.append(replace(row, standing=better + 1 if ranked else None, reasons=reasons))
    elsewhere.sort(key=lambda row: row.value(metric).value)
    unranked.sort(key=lambda row: (row.kind != "run", not row.reached, _value(row, metric), row.system, row.id))
    return Board(draft.rule, task_name, target, metric, tuple(ranked), tuple(unranked), tuple(elsewhere))


def _value(row: Row, metric: Metric) -> float:
    """The row's figure; infinite if there is none, or an impossible one."""
    return row.figures[metric].value if metric in row.figures and row.is_credible else math.inf


def _competes(record: PublishedResult, target: float) -> bool:
    """Whether the record was made for this target, or for none and reached it."""
    if record.target_accuracy is None:
        return record.accuracy is not None and record.accuracy >= target
    return record.target_accuracy == target


def _scored(
    runs: Sequence[Run], rule: str | None, task_name: str | None, price_per_hour: float | None
) -> Iterable[tuple[Key, Rule, Row]]:
    cells = groups(run for run in runs if not is_subset(run))
    cells = [cell for cell in cells if task_name in (None, task(representative(cell)))]
    names = repeats.names(cells)
    for cell, system in zip(cells, names, strict=True):
        books = [book for book in rules_for(cell[0].measure) if rule in (None, book.name)]
        lines = [RunTimeline(run) for run in cell] if books else []
        for book in books:
            score = book.score(lines, price_per_hour=None if is_imported(cell[0]) else price_per_hour)
            if score.n and score.target_accuracy is not None:
                key = (book.name, score.task, score.target_accuracy)
                yield key, book, _of_score(score, tuple(cell), system)


def _of_score(score: Score, runs: tuple[Run, ...], system: str) -> Row:
    figures: dict[Metric, Estimate | None] = {
        "time": score.time_s,
        "cost": score.cost_usd,
        "latency": score.latency_ms,
        "energy": score.energy_j,
    }
    first = runs[0]
    foreign = is_imported(first)
    return Row(
        kind="imported" if foreign else "run",
        system=units.get(first.config, "model", "name") or system if foreign else system,
        hardware=first.machine.get("hardware") or "unknown" if foreign else hardware(first),
        figures={metric: figure for metric, figure in figures.items() if figure is not None},
        n=score.n,
        author=units.get(first.config, "imported", "author"),
        date=max(run.started_at for run in runs)[:10],
        accuracy=score.accuracy.value if score.accuracy else None,
        reached=sum(timing.reached for timing in score.timings),
        notes=(*(finding.text for finding in score.footnotes), *_said(runs)),
        reasons=tuple(finding.text for finding in score.reasons),
        score=score,
        runs=runs,
    )


def _said(runs: Sequence[Run]) -> Iterable[str]:
    """The tags and the notes of runs, each once."""
    if tags := dict.fromkeys(tag for run in runs for tag in run.tags):
        yield f"{TAGS}{', '.join(tags)}"
    yield from dict.fromkeys(f"{NOTE}{note}" for run in runs for note in run.notes)


def _of_record(record: PublishedResult) -> Row:
    given: dict[Metric, tuple[float | None, str]] = {
        "time": (record.time_s, "s"),
        "cost": (record.cost_usd, "USD"),
        "latency": (record.latency_ms, "ms"),
    }
    return Row(
        kind="record",
        system=record.system,
        hardware=record.hardware,
        figures={
            metric: Estimate(value, record.n or 1, "as published", unit=unit)
            for metric, (value, unit) in given.items()
            if value is not None
        },
        n=record.n,
        author=record.author,
        date=record.date,
        accuracy=record.accuracy,
        reached=record.reached,
        notes=(record.note,) if record.note else (),
        record=record,
    )


def _not_known(runs: Iterable[Run], records: Sequence[PublishedResult]) -> list[Run]:
    """The runs without imported entries that are also among the records, with the same name and result."""
    known = {record.id: record for record in records}

    def is_known(run: Run) -> bool:
        record = known.get(_record_id(run))
        if record is None:
            return False
        theirs = record.latency_ms if record.time_s is None else record.time_s
        ours = run.metrics.get("latency_mean_ms" if record.time_s is None else "time_to_target_s")
        return bool(theirs and ours and math.isclose(theirs, ours, rel_tol=SAME_RESULT))

    return [run for run in runs if not (is_imported(run) and is_known(run))]


def _record_id(run: Run) -> str:
    imported = run.config["imported"]
    return f"{imported.get('source')}/{_kind(task(run))}/{imported.get('name')}"


def _why_missing(row: Row, metric: Metric) -> str:
    if row.record:
        return f"no {metric}: the source does not give it"
    if metric == "cost" and row.score:
        return next((note.text for note in row.score.footnotes if note.code in _NO_COST), "no cost")
    return f"no {metric}: it was not measured"


def _kind(task_name: str) -> str:
    return task_name.rpartition("/")[2]


def _measure(task_name: str) -> str:
    return "inference" if _kind(task_name) == "inference" else "time_to_accuracy"
