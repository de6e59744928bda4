"""False alarms and power of the gate on a machine, compared with the rules of other tools.

Comparisons are drawn from one long series of runs, in blocks of four neighbours, A B B A, so that the noise and its
short-term correlation are real; only the order of the blocks is random. B is the same code as A with its times
multiplied (`planted`), or code that really does more (`tools/gate_power.py`). Every rule gets the same times, one for
each run; ours may stop early.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol, TypeVar

import numpy as np
from scipy import stats

from bench.gate import group_sequential
from bench.gate.quantity import Quantity
from bench.gate.verdict import Case, Judgement, Verdict, judge

BLOCK = 4
COMPARISONS = 200
SLOW_DOWNS = (0.0, 0.02, 0.03, 0.05, 0.10, 0.20)
# Fewer blocks give comparisons that are all alike.
LEAST_RUNS = 80

Times = Sequence[float]
# Whether a rule calls B slower, and whether it calls it faster.
Rule = Callable[[Times, Times], tuple[bool, bool]]


class Recorded(Protocol):
    """A recorded run, which knows the number of its block."""

    @property
    def block(self) -> int: ...


R = TypeVar("R", bound=Recorded)


@dataclass(frozen=True)
class Outcome:
    """The verdicts of one rule on `n` comparisons with one slow-down; `rounds` is the mean number of pairs it used."""

    rule: str
    slow_down: float
    n: int
    slower: int
    faster: int
    same: int | None
    rounds: float


def append(file: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Add lines to a file of recorded runs in one write, so that a block is there as a whole or not at all."""
    with file.open("a", encoding="utf-8") as opened:
        opened.write("".join(json.dumps(line) + "\n" for line in lines))
        opened.flush()
        os.fsync(opened.fileno())


def whole_blocks(runs: Sequence[R]) -> list[list[R]]:
    """The runs of each block; a block that a crash cut short is left out."""
    blocks = [list(block) for _, block in itertools.groupby(runs, lambda run: run.block)]
    return [block for block in blocks if len(block) == BLOCK]


def study(
    blocks: Mapping[float, Sequence[Times]],
    quantity: Quantity,
    rounds: int,
    comparisons: int = COMPARISONS,
    seed: int = 0,
) -> list[Outcome]:
    """Apply every rule to the same comparisons, drawn from `blocks` A B B A for each slow-down of B."""
    outcomes = []
    for slow_down, drawn_from in blocks.items():
        pairs = [draw(drawn_from, rounds, np.random.default_rng([seed, number])) for number in range(comparisons)]
        outcomes.append(_ours(pairs, quantity, slow_down, rounds))
        for name, rule in RULES.items():
            found = [rule(base, head) for base, head in pairs]
            slower, faster = (sum(one[side] for one in found) for side in (0, 1))
            outcomes.append(Outcome(name, slow_down, comparisons, slower, faster, None, float(rounds)))
    return outcomes


def planted(series: Times, slow_downs: Sequence[float] = SLOW_DOWNS) -> dict[float, list[Times]]:
    """Blocks of runs of the same code, with the times of B multiplied. Raises ValueError for too few runs."""
    if len(series) < LEAST_RUNS:
        raise ValueError(f"{len(series)} runs are too few to draw comparisons from, of {LEAST_RUNS} at the least")
    plain = neighbours(series)
    return {
        slow_down: [(a, b * (1 + slow_down), b_again * (1 + slow_down), a_again) for a, b, b_again, a_again in plain]
        for slow_down in slow_downs
    }


def neighbours(series: Times) -> list[Times]:
    """All blocks of four consecutive runs."""
    return [series[start : start + BLOCK] for start in range(len(series) - BLOCK + 1)]


def draw(blocks: Sequence[Times], rounds: int, rng: np.random.Generator) -> tuple[list[float], list[float]]:
    """`rounds` pairs (base, head) from blocks A B B A, drawn at random with replacement."""
    base: list[float] = []
    head: list[float] = []
    while len(base) < rounds:
        a, b, b_again, a_again = blocks[int(rng.integers(len(blocks)))]
        base += [a, a_again]
        head += [b, b_again]
    return base[:rounds], head[:rounds]


def judged_by_looks(base: Times, head: Times, quantity: Quantity, rounds: int) -> tuple[Judgement, int]:
    """The gate's judgement at the first look that decides, else at the last, and the number of pairs at that look."""
    for look in group_sequential.looks(rounds):
        (judgement,) = judge([Case(quantity, base[:look], head[:look], True, rounds)])
        if judgement.verdict is not Verdict.UNSURE:
            break
    return judgement, look


def _ours(pairs: Sequence[tuple[Times, Times]], quantity: Quantity, slow_down: float, rounds: int) -> Outcome:
    words = []
    taken = []
    for base, head in pairs:
        judgement, look = judged_by_looks(base, head, quantity, rounds)
        words.append(judgement.verdict)
        taken.append(look)
    slower, faster, same = (words.count(verdict) for verdict in (Verdict.WORSE, Verdict.BETTER, Verdict.SAME))
    return Outcome("bench regress", slow_down, len(pairs), slower, faster, same, fmean(taken))


def _ratio(statistic: Callable[[Times], float], most: float) -> Rule:
    def rule(base: Times, head: Times) -> tuple[bool, bool]:
        ratio = statistic(head) / statistic(base)
        return ratio > 1 + most, ratio < 1 / (1 + most)

    return rule


def _factor_and_ranks(base: Times, head: Times) -> tuple[bool, bool]:
    ratio = float(np.median(head) / np.median(base))
    significant = float(stats.mannwhitneyu(base, head).pvalue) < 0.002
    return significant and ratio > 1.1, significant and ratio < 1 / 1.1


# As pytest-benchmark's --benchmark-compare-fail and asv continuous have them.
RULES: dict[str, Rule] = {
    "min:5%": _ratio(min, 0.05),
    "mean:5%": _ratio(fmean, 0.05),
    "mean, 10%": _ratio(fmean, 0.10),
    "factor 1.1, p<.002": _factor_and_ranks,
}
