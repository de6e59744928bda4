"""What was measured of a claim against what was claimed, a plot a claim."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.claims.evidence import Answer
from bench.claims.verdict import ClaimFinding, ClaimVerdict
from bench.report.html.figure import GRID, INK, MUTED, SERIES, Plot, axes, finish, style
from bench.report.terminal.claims import shower

COLOURS = {ClaimVerdict.CONFIRMED: SERIES[2], ClaimVerdict.REFUTED: SERIES[5], ClaimVerdict.UNSURE: SERIES[1]}


def claim_plots(answers: Sequence[Answer]) -> dict[str, Plot]:
    """The plot of each claim that has something to draw, by its id."""
    with style():
        return {
            answer.claim.id: _draw(answer, found)
            for answer in answers
            if (found := [finding for finding in answer.findings if finding.effect is not None])
        }


def _draw(answer: Answer, findings: Sequence[ClaimFinding]) -> Plot:
    figure, rows = axes(7.2, 0.35 + 0.85 * len(findings), rows=len(findings))
    for ax, finding in zip(rows, findings, strict=True):
        _row(ax, finding)
    title = f"{answer.claim.id}: {answer.verdict.value}"
    caption = (
        "Shaded is what was claimed; a bar is the 99 % interval, a thick dot the estimate, and a thin one a single "
        "pair or run."
    )
    return finish(figure, f"claim-{answer.claim.id}", title, caption)


def _row(ax: Axes, finding: ClaimFinding) -> None:
    effect, comparison = finding.effect, finding.comparison
    assert effect is not None
    bounds = [bound for bound in (effect.low, effect.high) if bound is not None and math.isfinite(bound)]
    claimed = [end for end in comparison.claimed.ends if math.isfinite(end)]
    shown = [effect.value, *bounds, *effect.points, *claimed]
    room = 0.08 * (max(shown) - min(shown)) or 0.05 * abs(effect.value) or 1.0
    least, most = min(shown) - room, max(shown) + room
    if comparison.quantity == "value" and comparison.metric == "accuracy":
        least, most = max(least, 0.0), min(most, 1.0)
    low, high = comparison.claimed.ends
    ax.axvspan(max(low, least), min(high, most), color=GRID, lw=0)
    colour = COLOURS.get(finding.verdict, MUTED)
    if effect.low is not None and effect.high is not None:
        ax.plot([max(effect.low, least), min(effect.high, most)], [0, 0], color=colour, lw=2.5, solid_capstyle="butt")
    ax.plot(effect.points, [0.28] * len(effect.points), "o", color=MUTED, ms=3)
    ax.plot([effect.value], [0], "o", color=colour, ms=7)
    ax.set_xlim(least, most)
    ax.set_ylim(-0.5, 0.6)
    ax.set_yticks([])
    ax.grid(visible=False)
    ax.spines["left"].set_visible(False)
    show = shower(comparison)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=comparison.metric == "parameters"))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: show(value)))
    ax.set_title(f"{comparison.what}: {finding.verdict.value}", fontsize=9, color=INK)
