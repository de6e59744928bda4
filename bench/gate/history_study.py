"""How well changes along many commits are found: a made-up line of commits with the noise of recorded runs.

Each commit is compared with the one before it, as `bench regress --base HEAD~1 --note` does in CI, by pairs of runs
that are drawn from recorded ones of equal code. The machine changes on the way, as a CI's does.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.gate.history import estimate
from bench.gate.quantity import QUANTITIES
from bench.gate.study import Times, draw
from bench.statistics.change_points import Change, CommitComparison, find_changes

COMMITS = 200
PLANTED = 10
SLOW_DOWN = 0.01
ROUNDS = 60
# How much slower each machine is than the first, and what share of the commits it measures.
MACHINES = ((1.0, 0.35), (1.6, 0.4), (0.8, 0.25))
WALL = QUANTITIES["command"][0]


@dataclass(frozen=True)
class CommitLine:
    """A line of commits: where it really became slower, its comparisons by ratios, and the same from raw times."""

    planted: Sequence[int]
    chain: Sequence[CommitComparison]
    raw: Sequence[CommitComparison]


@dataclass(frozen=True)
class ChangeScore:
    """Of so many planted changes: those found at their very commit, and what was found beside them."""

    planted: int
    found: int
    false: int


def line(blocks: Sequence[Times], seed: int, rounds: int = ROUNDS, slow_down: float = SLOW_DOWN) -> CommitLine:
    """A line with PLANTED slow-downs; `blocks` are times A B B A of equal code, one after another."""
    rng = np.random.default_rng(seed)
    # Of equal code either may be called the base; without that, few blocks would be biased by chance.
    both_ways = [*blocks, *((b, a, a_again, b_again) for a, b, b_again, a_again in blocks)]
    planted = sorted(int(at) + 1 for at in rng.choice(COMMITS, PLANTED, replace=False))
    level = np.cumsum([math.log1p(slow_down) if at in planted else 0.0 for at in range(COMMITS + 1)])
    chain, raw_times, errors = [], [], []
    for at in range(1, COMMITS + 1):
        base, head = draw(both_ways, rounds, rng)
        step = level[at] - level[at - 1]
        rises = [math.log(b / a) + step for a, b in zip(base, head, strict=True)]
        rise, error = estimate(rises, WALL) or (0.0, 1.0)
        chain.append(CommitComparison(at - 1, at, rise, error))
        raw_times.append(float(np.median(head)) * _slowness(at) * math.exp(level[at]))
        # Of a median, by the spread of the runs it is of.
        errors.append(1.2533 * float(np.std(np.log(head), ddof=1)) / math.sqrt(rounds))
    raw = [
        CommitComparison(at, at + 1, math.log(after / before), math.hypot(*errors[at - 1 : at + 1]))
        for at, (before, after) in enumerate(itertools.pairwise(raw_times), 1)
    ]
    return CommitLine(planted, chain, raw)


def score(planted: Sequence[int], found: Sequence[Change]) -> ChangeScore:
    """A change counts as found where it is named at its very commit, as a slow-down."""
    right = [one for one in found if one.first == one.last and one.last in planted and one.rise > 0]
    return ChangeScore(len(planted), len(right), len(found) - len(right))


def scores(
    blocks: Sequence[Times], seeds: Sequence[int], rounds: int = ROUNDS
) -> list[tuple[ChangeScore, ChangeScore]]:
    """For each seed: by the chain of ratios, and by the raw times of the same runs."""
    made = [line(blocks, seed, rounds) for seed in seeds]
    return [(score(one.planted, find_changes(one.chain)), score(one.planted, find_changes(one.raw))) for one in made]


def _slowness(at: int) -> float:
    """How much slower than the first the machine is that measures a commit."""
    share = (at - 1) / COMMITS
    for slowness, part in MACHINES[:-1]:
        if share < part:
            return slowness
        share -= part
    return MACHINES[-1][0]
