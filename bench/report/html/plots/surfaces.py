"""Loss surfaces: slices around trained weights, as `surface` measures them, side by side on one scale."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from bench.report.html.cells import CellPage
from bench.report.html.figure import INK, Plot, axes, finish
from bench.runs.run import Run
from bench.text import units

MOST_SIDE_BY_SIDE = 6
LEVELS = 16
LEAST_LOSS = 1e-4


def surfaces(cells: Sequence[CellPage]) -> list[Plot]:
    """A figure for each sweep of surfaces, with the first run of each cell; a cell of its own has its own."""
    groups: dict[str, list[tuple[str, Run]]] = defaultdict(list)
    for cell in cells:
        run = next((run for run in cell.runs if surface_of(run)), None)
        if run is not None:
            groups[run.sweep or cell.label].append((cell.label, run))
    return [surface_plot(f"surface-{number}", title, named) for number, (title, named) in enumerate(groups.items(), 1)]


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


def surface_plot(name: str, title: str, named: Sequence[tuple[str, Run]]) -> Plot:
    """Lines of equal loss, on a logarithmic scale that all share."""
    named = named[:MOST_SIDE_BY_SIDE]
    columns = min(len(named), 3 if len(named) != 4 else 2)
    rows = -(-len(named) // columns)
    figure, panels = axes(3.4 * columns + 0.8, 3.2 * rows, rows, columns)
    drawn = [(label, run, surface) for label, run in named if (surface := surface_of(run))]
    logs = [[[_log(loss) for loss in row] for row in surface["loss"]] for _, _, surface in drawn]
    lowest, highest = (extreme(value for grid in logs for row in grid for value in row) for extreme in (min, max))
    levels = [lowest + (max(highest - lowest, 1e-3)) * step / LEVELS for step in range(LEVELS + 1)]
    for ax, (label, run, surface), grid in zip(panels, drawn, logs, strict=False):
        filled = ax.contourf(surface["steps"], surface["steps"], grid, levels=levels, cmap="viridis", extend="both")
        ax.contour(surface["steps"], surface["steps"], grid, levels=levels[::2], colors=INK, linewidths=0.4)
        ax.plot(0, 0, "+", color="white")
        rough = run.metrics.get("roughness")
        ax.set_title(f"{label}\nroughness {units.number(rough)}", fontsize=8)
        ax.grid(False)
    for ax in panels[len(drawn) :]:
        ax.set_axis_off()
    figure.colorbar(filled, ax=panels, label="log10 of the training loss", shrink=0.8)
    caption = (
        "The training loss in two random directions around the trained weights (+), each filter of a direction as long "
        "as the network's own (Li et al., arXiv 1712.09913)."
    )
    return finish(figure, name, title, caption)


def _log(loss: float | None) -> float:
    """Of what is not finite, which a record keeps as null, a value beyond all others that are drawn."""
    return math.log10(max(loss, LEAST_LOSS)) if loss is not None and math.isfinite(loss) else 3.0
