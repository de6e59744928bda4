"""Where the time went: each cell's spans as shares of the whole, from the command to the last evaluation."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.ticker import PercentFormatter

from bench.report.html.cells import CellPage, featured
from bench.report.html.figure import PAPER, SERIES, Plot, axes, finish
from bench.scores.rules import RunTimeline
from bench.text import units

MOST_CELLS = 12
WRAP_CHARS = 36
# Spans grouped by purpose; a bar has one part for each group.
PARTS = {
    "start and import": ("start", "import", "device"),
    "data": ("data",),
    "build and init": ("build", "init"),
    "compile and warm-up": ("compile", "warm_up"),
    "train": ("train",),
    "evaluate": ("eval", "final_eval"),
    "measure": ("measure",),
    "other": (),
}
COLOURS = dict(
    zip(PARTS, (SERIES[6], SERIES[3], SERIES[4], SERIES[5], SERIES[0], SERIES[1], SERIES[2], SERIES[7]), strict=True)
)


def spans(cells: Sequence[CellPage]) -> list[Plot]:
    """A plot for each task."""
    plots: list[Plot] = []
    for task in dict.fromkeys(cell.task for cell in cells if not cell.is_imported):
        chosen = featured(cells, task, MOST_CELLS)
        if chosen:
            plots.append(_draw(task, chosen, sum(cell.task == task and not cell.is_imported for cell in cells)))
    return plots


def mean_parts_s(cell: CellPage) -> dict[str, float]:
    """Mean seconds of a run of the cell in each of PARTS, which add up to the whole run."""
    part_of = {name: part for part, names in PARTS.items() for name in names}
    sums = dict.fromkeys(PARTS, 0.0)
    for run in cell.runs:
        for piece in RunTimeline(run).pieces:
            sums[part_of.get(piece.name, "other")] += piece.end_s - piece.start_s
    return {part: total / len(cell.runs) for part, total in sums.items()}


def _draw(task: str, cells: Sequence[CellPage], count: int) -> Plot:
    figure, (ax, *_) = axes(7.2, 1.3 + 0.42 * len(cells))
    used: set[str] = set()
    for position, cell in enumerate(cells):
        seconds = mean_parts_s(cell)
        total_s = sum(seconds.values())
        left = 0.0
        for part, part_s in seconds.items():
            share = part_s / total_s if total_s else 0.0
            if share > 0.0005:
                label = part if part not in used else None
                used.add(part)
                ax.barh(
                    position, share, left=left, height=0.62, color=COLOURS[part], edgecolor=PAPER, lw=0.6, label=label
                )
            left += share
        ax.text(1.01, position, f"{units.duration(total_s)}, n = {len(cell.runs)}", va="center", fontsize=8)
    ax.set_yticks(range(len(cells)), [_wrapped(cell) for cell in cells], fontsize=8)
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    ax.set_title(task)
    order = {part: position for position, part in enumerate(PARTS)}
    handles, names = ax.get_legend_handles_labels()
    pairs = sorted(zip(names, handles, strict=True), key=lambda pair: order[pair[0]])
    figure.legend([handle for _, handle in pairs], [name for name, _ in pairs], loc="outside lower center", ncols=4)
    gone = f" Drawn are {len(cells)} of {count} cells." if count > len(cells) else ""
    caption = (
        f"Share of the whole run, from the command to its end, by span; the mean of n runs and what they took.{gone}"
    )
    return finish(figure, f"spans-{task.replace('/', '-')}", f"Where the time went, {task}", caption)


def _wrapped(cell: CellPage) -> str:
    """A label of at most two lines."""
    name = f"{cell.label}, {cell.first.measure}".removesuffix(", time_to_accuracy")
    return "\n".join(textwrap.wrap(name, WRAP_CHARS, max_lines=2, placeholder=" …"))
