"""Loss surfaces: slices around trained weights, as `surface` measures them, side by side on one scale."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from bench.report.html.cells import CellPage
from bench.report.html.figure import INK, Plot, axes, finish, style
from bench.runs.run import Run
from bench.text import units

MOST_SIDE_BY_SIDE = 6
LABELLED = "log10 of the training loss"
CAPTION = (
    "The training loss in two random directions around the trained weights (+), each filter of a direction as long as "
    "the network's own (Li et al., arXiv 1712.09913), on a scale that all of a sweep share."
)
LEVELS = 16
LEAST_LOSS = 1e-4


def surfaces(cells: Sequence[CellPage]) -> list[Plot]:
    """A picture for the first run of each cell; those of a sweep share a scale."""
    groups: dict[str, list[tuple[str, Run]]] = defaultdict(list)
    for cell in cells:
        run = next((run for run in cell.runs if surface_of(run)), None)
        if run is not None:
            groups[run.sweep or cell.label].append((cell.label, run))
    plots: list[Plot] = []
    for named in groups.values():
        levels = _levels([surface for _, run in named if (surface := surface_of(run))])
        with style():
            plots += [
                surface_plot(f"surface-{len(plots) + number}", label, [(label, run)], levels)
                for number, (label, run) in enumerate(named[:MOST_SIDE_BY_SIDE], 1)
            ]
    return plots


def surface_of(run: Run) -> dict[str, Any] | None:
    """`steps` and the `loss` at each pair of them; None where the run has no such slice."""
    surface = units.get(run.config, "resolved", "surface")
    if not isinstance(surface, dict) or not isinstance(surface.get("steps"), list):
        return None
    rows, side = surface.get("loss"), len(surface["steps"])
    square = (
        isinstance(rows, list) and len(rows) == side > 2 and all(isinstance(r, list) and len(r) == side for r in rows)
    )
    return surface if square else None


def surface_plot(
    name: str, title: str, named: Sequence[tuple[str, Run]], levels: Sequence[float] | None = None
) -> Plot:
    """Lines of equal loss, side by side on a logarithmic scale that all share; call it within `style`."""
    named = named[:MOST_SIDE_BY_SIDE]
    columns = min(len(named), 3 if len(named) != 4 else 2)
    rows = -(-len(named) // columns)
    figure, panels = axes(3.4 * columns + 0.8, 3.2 * rows, rows, columns)
    drawn = [(label, run, surface) for label, run in named if (surface := surface_of(run))]
    is_alone = levels is not None  # its page names it
    levels = levels or _levels([surface for _, _, surface in drawn])
    for ax, (label, run, surface) in zip(panels, drawn, strict=False):
        grid, steps = _logs(surface), surface["steps"]
        filled = ax.contourf(steps, steps, grid, levels=levels, cmap="viridis", extend="both")
        ax.contour(steps, steps, grid, levels=levels[::2], colors=INK, linewidths=0.4)
        ax.plot(0, 0, "+", color="white")
        rough = f"roughness {units.number(run.metrics.get('roughness'))}"
        ax.set_title(rough if is_alone else f"{label}\n{rough}", fontsize=8)
        ax.grid(False)
    for ax in panels[len(drawn) :]:
        ax.set_axis_off()
    figure.colorbar(filled, ax=panels, label=LABELLED, shrink=0.8)
    return finish(figure, name, title, CAPTION)


def _levels(surfaces: Sequence[dict[str, Any]]) -> list[float]:
    """The losses of the lines, evenly from the lowest to the highest of all."""
    values = [value for surface in surfaces for row in _logs(surface) for value in row]
    lowest, highest = min(values), max(values)
    return [lowest + max(highest - lowest, 1e-3) * step / LEVELS for step in range(LEVELS + 1)]


def _logs(surface: dict[str, Any]) -> list[list[float]]:
    return [[_log(loss) for loss in row] for row in surface["loss"]]


def _log(loss: float | None) -> float:
    """Of what is not finite, which a record keeps as null, a value beyond all others that are drawn."""
    return math.log10(max(loss, LEAST_LOSS)) if loss is not None and math.isfinite(loss) else 3.0
