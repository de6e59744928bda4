"""Confirms a `slower` verdict in a second checkout at another path before it fails a build.

The memory layout of a program depends, among other things, on the length of its paths, and can cost some percent
(Mytkowicz et al., ASPLOS 2009). Measuring in turns does not show that, because each side keeps its place; a second
place does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from bench.gate.report import GateFinding
from bench.gate.verdict import LEAST_ROUNDS, Judgement, Verdict

# The second checkout gets what is left of the budget, and this share of it at the least.
SHARE = 0.5


def slower(findings: Sequence[GateFinding]) -> list[GateFinding]:
    """The findings that a second checkout must confirm."""
    return [one for one in findings if one.verdict is Verdict.WORSE and _is_time(one.judgement)]


def rounds_for(suspects: Sequence[GateFinding]) -> int:
    """How many rounds the second checkout gets: half of those that showed the slow-down; what is sought is known."""
    return max([LEAST_ROUNDS, *(one.judgement.n // 2 for one in suspects if one.judgement is not None)])


def confirmed(findings: Sequence[GateFinding], again: Sequence[GateFinding]) -> list[GateFinding]:
    """The findings, with those of `slower` revised by the second checkout.

    A slow-down is confirmed if the second place is slower for sure (by a one-sided test at 5 %) and the mean of both
    places is above the margin. Anything else becomes `unsure`, with what each place showed.
    """
    by_figure = {_key(one): one.judgement for one in again if one.judgement is not None}
    return [
        replace(one, judgement=_settled(one.judgement, by_figure.get(_key(one))))
        if one.judgement is not None and one in slower(findings)
        else one
        for one in findings
    ]


def _settled(first: Judgement, second: Judgement | None) -> Judgement:
    if second is None or second.change is None or second.n < LEAST_ROUNDS:
        n = 0 if second is None else second.n
        reason = (
            f"{first.word} by {_percent(first)} in one checkout, but there was time for {n} rounds of a second one to "
            f"confirm it, and {LEAST_ROUNDS} are needed; give a larger --budget"
        )
        return first.as_withdrawn(reason)
    sign = 1.0 if first.quantity.larger_is_worse else -1.0
    assert first.change is not None
    both = (sign * math.log(first.change.value) + sign * math.log(second.change.value)) / 2
    if _surely_worse(second) and both > math.log1p(first.quantity.margin):
        return replace(first, reason=f"confirmed by a second checkout at another path: {_percent(second)}")
    reason = (
        f"{first.word} by {_percent(first)} in one checkout and by {_percent(second)} in another, so it may be the "
        "place in memory and not the code; measure again with --fresh"
    )
    return first.as_withdrawn(reason, not_worse=second.verdict is Verdict.SAME)


def _surely_worse(judgement: Judgement) -> bool:
    change = judgement.change
    if change is None or change.low is None or change.high is None:
        return False
    return change.low > 1 if judgement.quantity.larger_is_worse else change.high < 1


def _is_time(judgement: Judgement | None) -> bool:
    return judgement is not None and judgement.quantity.is_time


def _key(finding: GateFinding) -> tuple[str, str | None]:
    return finding.cell, finding.judgement.quantity.metric if finding.judgement else None


def _percent(judgement: Judgement) -> str:
    return "?" if judgement.change is None else f"{100 * (judgement.change.value - 1):+.1f} %"
