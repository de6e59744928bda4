"""The loss against a learning rate that grows: the curves of `find_lr`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from matplotlib.ticker import NullFormatter

from bench.report.html.cells import CellPage
from bench.report.html.figure import MUTED, SERIES, Plot, axes, finish
from bench.runs.run import Run
from bench.text import units

MOST_PLOTS = 12
# So far above the first loss the picture ends: what comes then is the explosion.
HEADROOM = 1.3


def rate_curves(cells: Sequence[CellPage]) -> list[Plot]:
    """A figure for each cell of `find_lr`."""
    found = ((cell, runs) for cell in cells if (runs := [run for run in cell.runs if curve_of(run)]))
    return [
        rate_curve(f"rates-{number}", cell.label, runs)
        for number, (cell, runs) in enumerate(islice(found, MOST_PLOTS), 1)
    ]


def curve_of(run: Run) -> dict[str, list[float]] | None:
    """`rate`, `loss` and `smoothed` of each batch; None where the run has no such curve."""
    curve = units.get(run.config, "resolved", "curve")
    if not isinstance(curve, dict) or not all(isinstance(curve.get(key), list) for key in ("rate", "loss", "smoothed")):
        return None
    return curve if len(curve["rate"]) == len(curve["loss"]) == len(curve["smoothed"]) > 1 else None


def rate_curve(name: str, title: str, runs: Sequence[Run]) -> Plot:
    """The smoothed losses of repeated searches, the losses of the first one's batches, and the suggestions."""
    figure, (ax, *_) = axes(7.2, 3.8)
    tops = []
    for position, run in enumerate(runs):
        curve = curve_of(run)
        assert curve is not None
        colour = SERIES[position % len(SERIES)]
        if position == 0:
            ax.plot(curve["rate"], curve["loss"], ".", color=MUTED, ms=3, label="loss of a batch")
        ax.plot(curve["rate"], curve["smoothed"], color=colour, lw=1.5, label=f"smoothed, seed {run.seed}")
        suggested = run.metrics.get("suggested_lr")
        if suggested is not None:
            ax.axvline(suggested, color=colour, ls="--", lw=1, label=f"suggested: {suggested:.2g}")
        tops.append(curve["smoothed"][0])
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda rate, _: f"{rate:.0e}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(0, HEADROOM * max(tops))
    ax.set_xlabel("learning rate")
    ax.set_ylabel("training loss")
    ax.set_title(title)
    ax.legend(loc="lower left")
    caption = (
        "The loss while the learning rate grows after each batch. The suggestion is a tenth of the rate at which the "
        "smoothed loss is smallest."
    )
    return finish(figure, name, title, caption)
