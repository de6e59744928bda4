"""Heat maps of a sweep: its main figure by each pair of axes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from bench.report.html.cells import HEADLINES, CellPage
from bench.report.html.figure import PAPER, Plot, axes, finish
from bench.runs.labels import differing, ordered, show
from bench.text import units
from bench.text.values import show_metric

MOST_PAIRS = 6
MOST_VALUES = 12
TICK_CHARS = 18
LIGHT_TEXT_BELOW = 0.55


@dataclass(frozen=True)
class Grid:
    """The mean figure by the values of two axes, over all cells with these values; None if there is no cell."""

    x_key: str
    y_key: str
    xs: tuple[Any, ...]
    ys: tuple[Any, ...]
    means: tuple[tuple[float | None, ...], ...]


def heatmaps(cells: Sequence[CellPage]) -> list[Plot]:
    """A figure for each sweep with two or more axes, with a map for each pair."""
    sweeps: dict[tuple[str, str, str], list[CellPage]] = defaultdict(list)
    for cell in cells:
        if cell.first.sweep:
            sweeps[cell.first.sweep, cell.first.measure, str(cell.first.machine.get("id"))].append(cell)
    plots: list[Plot] = []
    for (sweep, measure, _), members in sweeps.items():
        metric = HEADLINES.get(measure, "")
        grids = grids_of(members, metric)
        if grids:
            name = f"matrix-{len(plots) + 1}"
            plots.append(
                _draw(name, sweep, metric, grids, sum(len(cell.runs) for cell in members), members[0].hardware)
            )
    return plots


def grids_of(cells: Sequence[CellPage], metric: str) -> list[Grid]:
    """A grid for each of the first MOST_PAIRS pairs of keys that differ between the cells."""
    done = [(cell, estimate.value) for cell in cells if (estimate := cell.mean(metric))]
    keys = differing([cell.first.config for cell, _ in done]) if done else {}
    keys = {key: values for key, values in keys.items() if len(ordered(values)) <= MOST_VALUES}
    return [_grid(x, y, keys, [value for _, value in done]) for x, y in list(combinations(keys, 2))[:MOST_PAIRS]]


def _grid(x_key: str, y_key: str, keys: dict[str, list[Any]], values: list[float]) -> Grid:
    xs, ys = ordered(keys[x_key]), ordered(keys[y_key])
    sums: dict[tuple[str, str], list[float]] = defaultdict(list)
    for x, y, value in zip(keys[x_key], keys[y_key], values, strict=True):
        sums[show(x), show(y)].append(value)
    means = tuple(
        tuple(sum(found) / len(found) if (found := sums.get((show(x), show(y)))) else None for x in xs) for y in ys
    )
    return Grid(x_key, y_key, tuple(xs), tuple(ys), means)


def _draw(name: str, sweep: str, metric: str, grids: Sequence[Grid], runs: int, where: str) -> Plot:
    import matplotlib

    columns = min(2, len(grids))
    rows = math.ceil(len(grids) / columns)
    tallest = max(len(grid.ys) for grid in grids)
    figure, panels = axes(7.2, rows * (1.0 + 0.42 * tallest), rows, columns)
    known = [mean for grid in grids for line in grid.means for mean in line if mean is not None]
    low, high = min(known), max(known)
    shades = matplotlib.colormaps["cividis"]

    def shade(value: float) -> float:
        return 0.5 if high == low else 0.12 + 0.8 * (value - low) / (high - low)

    for ax, grid in zip(panels, grids, strict=False):
        for j, line in enumerate(grid.means):
            for i, mean in enumerate(line):
                if mean is not None:
                    level = shade(mean)
                    ax.add_patch(
                        matplotlib.patches.Rectangle((i - 0.5, j - 0.5), 1, 1, color=shades(level), ec=PAPER, lw=1)
                    )
                    colour = "#fdfdfd" if level < LIGHT_TEXT_BELOW else "#101010"
                    ax.text(i, j, _number(metric)(mean), ha="center", va="center", fontsize=8, color=colour)
        ax.set_xlim(-0.5, len(grid.xs) - 0.5)
        ax.set_ylim(len(grid.ys) - 0.5, -0.5)
        ax.set_xticks(range(len(grid.xs)), [_tick(x) for x in grid.xs])
        ax.set_yticks(range(len(grid.ys)), [_tick(y) for y in grid.ys])
        ax.set_xlabel(grid.x_key)
        ax.set_ylabel(grid.y_key)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
    for ax in panels[len(grids) :]:
        ax.set_visible(False)
    caption = (
        f"Mean {metric.replace('_', ' ')} of the {runs} runs of the sweep, over all that else differs; on {where}."
    )
    return finish(figure, name, f"Sweep {sweep}: {metric}", caption)


def _tick(value: Any) -> str:
    shown = show(value)
    return shown if len(shown) <= TICK_CHARS else f"{shown[: TICK_CHARS - 1]}…"


def _number(metric: str) -> Callable[[float], str]:
    return lambda value: (
        units.rate(value).removesuffix("/s") if metric.endswith("per_s") else show_metric(metric, value)
    )
