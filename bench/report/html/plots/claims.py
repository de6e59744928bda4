"""What was measured of a claim against what was claimed, a chart for each of its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.claims.evidence import Answer
from bench.claims.verdict import ClaimFinding, ClaimVerdict
from bench.report.charts.chart import ChartAxis, Dot, DotChart, DotRow
from bench.report.charts.scale import Scale, nice_step
from bench.report.terminal.claims import cells, shower

COLOURS = {ClaimVerdict.CONFIRMED: 2, ClaimVerdict.REFUTED: 5, ClaimVerdict.UNSURE: 1}
CAPTION = (
    "Shaded is what was claimed; a bar is the 99 % interval, a thick dot the estimate, and a thin one a single pair or "
    "run."
)


def claim_charts(answers: Sequence[Answer]) -> dict[str, list[DotChart]]:
    """The charts of each claim that has something to draw, by its id."""
    return {
        answer.claim.id: [
            _draw(f"claim-{answer.claim.id}-{number}", finding)
            for number, finding in enumerate(answer.findings, 1)
            if finding.effect is not None
        ]
        for answer in answers
        if any(finding.effect is not None for finding in answer.findings)
    }


def _draw(name: str, finding: ClaimFinding) -> DotChart:
    effect, comparison = finding.effect, finding.comparison
    assert effect is not None
    bounds = [bound for bound in (effect.low, effect.high) if bound is not None and math.isfinite(bound)]
    claimed = [end for end in comparison.claimed.ends if math.isfinite(end)]
    shown = [value for value in (effect.value, *bounds, *effect.points, *claimed) if math.isfinite(value)]
    room = 0.08 * (max(shown) - min(shown)) or 0.05 * abs(shown[0]) or 1.0
    least, most = min(shown) - room, max(shown) + room
    if comparison.quantity == "value" and comparison.metric == "accuracy":
        least, most = max(least, 0.0), min(most, 1.0)
    show, step = shower(comparison), nice_step(most - least)
    step = max(1.0, step) if comparison.metric == "parameters" else step
    ticks = [count * step for count in range(math.ceil(least / step), math.floor(most / step) + 1)]
    colour = COLOURS.get(finding.verdict)
    dot = Dot(effect.value, effect.low, effect.high, effect.points, colour, f"{cells(finding)[1]}, n = {effect.n}")
    return DotChart(
        name,
        comparison.what,
        CAPTION,
        ChartAxis("", Scale(least, most, tuple((tick, show(tick)) for tick in ticks))),
        (DotRow(finding.verdict.value, (dot,), shaded=comparison.claimed.ends),),
    )
