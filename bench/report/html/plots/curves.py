"""Accuracy against time on DAWNBench's clock, the only one that imported entries have."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from bench.report.html.cells import CellPage, featured
from bench.report.html.figure import MUTED, SERIES, Plot, axes, finish
from bench.report.html.plots.ticks import duration_axis
from bench.runs.run import Run
from bench.scores.rules.base import task
from bench.scores.rules.dawnbench import EpochRow, epoch_rows

MOST_CELLS = 6
MOST_RUNS = 10
# The axis is logarithmic in 100 % minus the accuracy, so that the last points spread out.
LEAST_ERROR, MOST_ERROR = 0.003, 0.9
TICKS = (0.9, 0.5, 0.3, 0.2, 0.1, 0.06, 0.05, 0.03, 0.02, 0.01, 0.005)
# A wider range of times is drawn on a logarithmic axis.
LOG_FROM = 30


def curves(cells: Sequence[CellPage], imported: Sequence[Run]) -> list[Plot]:
    """A plot for each task with known epochs."""
    plots: list[Plot] = []
    tasks = dict.fromkeys([cell.task for cell in cells] + [task(run) for run in imported])
    for task_name in tasks:
        timed = [cell for cell in cells if cell.first.metrics.get("target_accuracy") is not None]
        own = [
            (cell, [rows for run in cell.runs[:MOST_RUNS] if (rows := _rows(run))])
            for cell in featured(timed, task_name, MOST_CELLS)
        ]
        others = [rows for run in imported if task(run) == task_name and (rows := _rows(run))]
        own = [(cell, found) for cell, found in own if found]
        if own or others:
            plots.append(_draw(task_name, own, others, sum(cell.task == task_name for cell in timed)))
    return plots


def _rows(run: Run) -> list[EpochRow]:
    return [row for row in epoch_rows(run) if row.time_s > 0]


def _draw(
    task_name: str, own: list[tuple[CellPage, list[list[EpochRow]]]], others: list[list[EpochRow]], count: int
) -> Plot:
    figure, (ax, *_) = axes(7.2, 4.0 + 0.18 * (len(own) + bool(others)))
    for rows in others:
        _line(ax, rows, color=MUTED, lw=0.7, alpha=0.45, zorder=1)
    if others:
        ax.plot([], [], color=MUTED, lw=0.7, label=f"DAWNBench entries ({len(others)})")
    for position, (cell, runs) in enumerate(own):
        for number, rows in enumerate(runs):
            label = f"{_short(cell.label)} (n = {len(runs)})" if number == 0 else None
            _line(ax, rows, color=SERIES[position], lw=1.3, alpha=1 if len(runs) == 1 else 0.6, label=label)
    targets = {run.metrics.get("target_accuracy") for cell, _ in own for run in cell.runs} - {None}
    for target in targets:
        ax.axhline(1 - float(target or 0), color=MUTED, lw=1, ls=(0, (4, 3)))
    shown = [row for _, runs in own for rows in runs for row in rows] + [row for rows in others for row in rows]
    least_s, most_s = min(row.time_s for row in shown), max(row.time_s for row in shown)
    log = most_s > LOG_FROM * least_s
    if log:
        ax.set_xscale("log")
    duration_axis(ax.xaxis, least_s, most_s, log)
    ax.set_yscale("log")
    ax.yaxis.set_minor_locator(NullLocator())
    ticks = [tick for tick in TICKS if tick != (0.05 if 0.94 in targets else 0.06)]
    ax.set_yticks(ticks, [f"{100 * (1 - tick):g} %" for tick in ticks])
    ax.invert_yaxis()
    least = min(max(1 - row.accuracy, LEAST_ERROR) for row in shown)
    ax.set_ylim(MOST_ERROR, 0.8 * least)
    ax.set_title(task_name)
    figure.legend(loc="outside lower left", fontsize=8, ncols=1)
    gone = (
        f" Drawn are {len(own)} of {count} cells, those that reached the target first, then the newest."
        if count > len(own)
        else ""
    )
    caption = (
        "Test accuracy after each epoch, by the training time on DAWNBench's clock: loading and initialisation in, "
        f"imports and evaluation out. A dashed line is a target.{gone}"
    )
    return finish(figure, f"curves-{task_name.replace('/', '-')}", f"Accuracy against time, {task_name}", caption)


def _line(ax: Axes, rows: Sequence[EpochRow], **look: object) -> None:
    ax.plot([row.time_s for row in rows], [max(1 - row.accuracy, LEAST_ERROR) for row in rows], **look)  # type: ignore[arg-type]


def _short(label: str) -> str:
    return label if len(label) <= 60 else f"{label[:59]}…"
