"""Where the time went: each cell's spans as shares of the whole, from the command to the last evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.charts.chart import BarChart, BarRow
from bench.report.html.cells import CellPage, featured
from bench.scores.rules import RunTimeline
from bench.text import units

MOST_CELLS = 12
# Spans grouped by purpose, and their colours; a bar has one part for each group.
PARTS = {
    "start and import": ("start", "import", "device"),
    "data": ("data",),
    "build and init": ("build", "init", "exact_index", "approximate_index"),
    "compile and warm-up": ("compile", "warm_up"),
    "train": ("train",),
    "evaluate": ("eval", "final_eval", "other_eval"),
    "measure": ("measure",),
    "other": (),
}
COLOURS = dict(zip(PARTS, (6, 3, 4, 5, 0, 1, 2, 7), strict=True))
# Smaller shares cannot be seen.
LEAST_SHARE = 0.0005


def spans(cells: Sequence[CellPage]) -> list[BarChart]:
    """A chart for each task."""
    charts: list[BarChart] = []
    for task in dict.fromkeys(cell.task for cell in cells if not cell.is_imported):
        chosen = featured(cells, task, MOST_CELLS)
        if chosen:
            charts.append(_draw(task, chosen, sum(cell.task == task and not cell.is_imported for cell in cells)))
    return charts


def mean_parts_s(cell: CellPage) -> dict[str, float]:
    """Mean seconds of a run of the cell in each of PARTS, which add up to the whole run."""
    part_of = {name: part for part, names in PARTS.items() for name in names}
    sums = dict.fromkeys(PARTS, 0.0)
    for run in cell.runs:
        for piece in RunTimeline(run).pieces:
            sums[part_of.get(piece.name, "other")] += piece.end_s - piece.start_s
    return {part: total / len(cell.runs) for part, total in sums.items()}


def _draw(task: str, cells: Sequence[CellPage], count: int) -> BarChart:
    seconds = [mean_parts_s(cell) for cell in cells]
    rows = [_row(cell, each) for cell, each in zip(cells, seconds, strict=True)]
    used = [part for place, part in enumerate(PARTS) if any(row.shares[place] > LEAST_SHARE for row in rows)]
    places = [list(PARTS).index(part) for part in used]
    gone = f" Drawn are {len(cells)} of {count} cells." if count > len(cells) else ""
    return BarChart(
        f"spans-{task}",
        task,
        f"Share of the whole run, from the command to its end, by span; the mean of n runs and what they took.{gone}",
        tuple((part, COLOURS[part]) for part in used),
        tuple(BarRow(row.label, tuple(row.shares[place] for place in places), row.text) for row in rows),
    )


def _row(cell: CellPage, seconds: dict[str, float]) -> BarRow:
    total_s = sum(seconds.values())
    label = f"{cell.label}, {cell.first.measure}".removesuffix(", time_to_accuracy")
    shares = tuple(part_s / total_s if total_s else 0.0 for part_s in seconds.values())
    return BarRow(label, shares, f"{units.duration(total_s)}, n = {len(cell.runs)}")
