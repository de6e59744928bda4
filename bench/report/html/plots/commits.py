"""The gate's history as a picture: each chain with its changes, and the raw times that it was made of beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from bench.gate.history import Chain, Commit
from bench.host.git import SHORT_COMMIT
from bench.report.html.figure import INK, MUTED, SERIES, axes, finish, style

ROW_IN = 2.6
WIDTH_IN = 10.0
CONFIDENCE_95 = 1.96
MOST_NAMED = 12


def draw(chains: Sequence[Chain], commits: Sequence[Commit]) -> tuple[str, bytes]:
    """An SVG and a PNG: to the left the level since the first commit, to the right what was measured, by machine."""
    with style():
        figure, places = axes(WIDTH_IN, ROW_IN * len(chains), rows=len(chains), columns=2)
        for chain, left, right in zip(chains, places[::2], places[1::2], strict=True):
            _draw_levels(chain, commits, left)
            _draw_raw(chain, right)
        plot = finish(figure, "history", "Speed along the commits", "")
    return plot.svg, plot.png


def _draw_levels(chain: Chain, commits: Sequence[Commit], ax: Any) -> None:
    scale = _percent if chain.quantity.scale == "ratio" else _points
    for piece in dict.fromkeys(level.piece for level in chain.levels):
        inside = [level for level in chain.levels if level.piece == piece]
        at = [level.position for level in inside]
        reach = [CONFIDENCE_95 * level.error for level in inside]
        low = [scale(level.rise - one) for level, one in zip(inside, reach, strict=True)]
        high = [scale(level.rise + one) for level, one in zip(inside, reach, strict=True)]
        ax.fill_between(at, low, high, color=SERIES[0], alpha=0.15, linewidth=0)
        ax.plot(at, [scale(level.rise) for level in inside], color=SERIES[0], marker=".", markersize=3, linewidth=1)
        _draw_fit(chain, at, scale, ax)
    for number, change in enumerate(chain.changes):
        ax.axvline(change.last, color=SERIES[1], linewidth=0.8)
        if number < MOST_NAMED:
            label = f"{scale(change.rise):+.1f} {commits[change.last].name[:SHORT_COMMIT]}"
            ax.annotate(
                label, (change.last, 1), (2, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                rotation=90, va="top", fontsize=6, color=INK,
            )  # fmt: skip
    ax.set_title(f"{chain.cell}, {chain.quantity.name}")
    ax.set_ylabel("% since the first" if chain.quantity.scale == "ratio" else "points since the first", color=MUTED)
    ax.set_xlabel("commit")


def _draw_fit(chain: Chain, positions: Sequence[int], scale: Callable[[float], float], ax: Any) -> None:
    """What the changes alone make of the level."""
    inside = [change for change in chain.changes if positions[0] < change.last <= positions[-1]]
    level = [math.fsum(change.rise for change in inside if change.last <= at) for at in positions]
    ax.step(positions, [scale(rise) for rise in level], where="post", color=SERIES[1], linewidth=1)


def _draw_raw(chain: Chain, ax: Any) -> None:
    for number, machine in enumerate(dict.fromkeys(machine for _, _, machine in chain.raw)):
        mine = [(at, value) for at, value, its in chain.raw if its == machine]
        colour = SERIES[number % len(SERIES)]
        ax.plot(*zip(*mine, strict=True), ".", color=colour, markersize=3, label=machine[:SHORT_COMMIT])
    ax.set_title("as measured, by machine")
    ax.set_ylabel(chain.quantity.metric, color=MUTED)
    ax.set_xlabel("commit")
    ax.legend(fontsize=6)


def _percent(rise: float) -> float:
    return 100 * math.expm1(rise)


def _points(rise: float) -> float:
    return 100 * rise
