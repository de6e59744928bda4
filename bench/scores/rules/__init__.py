"""The registry of rule books: under which rules a run can be scored, by name.

for runs in groups(Store(path).read()):
    score = rule("dawnbench", runs[0].measure).score(runs)
"""

from __future__ import annotations

from collections.abc import Iterable

from bench.errors import UsageError
from bench.runs.run import Run
from bench.scores.rules.base import Finding, Kind, Rule, Score
from bench.scores.rules.coldstart import ColdStart
from bench.scores.rules.dawnbench import DawnBench
from bench.scores.rules.dawnbench_inference import DawnBenchInference
from bench.scores.rules.mlperf import MLPerf
from bench.scores.rules.speedrun import Speedrun
from bench.scores.rules.timing import RunTimeline, Timing

__all__ = ["RULES", "Finding", "Kind", "Rule", "RunTimeline", "Score", "Timing", "groups", "rule", "rules_for"]

_BOOKS: tuple[type[Rule], ...] = (DawnBench, DawnBenchInference, MLPerf, Speedrun, ColdStart)
# A name may have several books, one for each measure.
RULES = tuple(dict.fromkeys(book.name for book in _BOOKS))


def rule(name: str, measure: str = "time_to_accuracy") -> Rule:
    """The rule book of this name for runs of this measure. Raises UsageError where there is none."""
    if name not in RULES:
        raise UsageError(f"there is no rule book {name!r}; there are: {', '.join(RULES)}")
    for book in _BOOKS:
        if book.name == name and measure in book.measures:
            return book()
    others = ", ".join(other.name for other in rules_for(measure)) or "none does"
    raise UsageError(f"{name} does not score the measure {measure!r}; who does: {others}")


def rules_for(measure: str) -> list[Rule]:
    """Every rule book that scores runs of this measure."""
    return [book() for book in _BOOKS if measure in book.measures]


def groups(runs: Iterable[Run]) -> list[list[Run]]:
    """Runs that are repeats of one another, a list each: of one cell, measure and machine, and begun in one way."""
    found: dict[Kind, list[Run]] = {}
    for run in runs:
        found.setdefault(Kind.of(run), []).append(run)
    return list(found.values())
