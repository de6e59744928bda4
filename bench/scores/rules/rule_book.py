"""A rule book: which seconds of a run count, which runs qualify, and how their times make a score.

A rule book reads only runs, and never changes a measurement.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from bench.runs.run import INVALID, Run
from bench.scores.rules.requirements import Requirements, invalid_findings
from bench.scores.rules.score import Figures, Finding, Score
from bench.scores.rules.task import TASK_TARGETS, has_other_quality, stated_target, task
from bench.scores.rules.timing import RunTimeline, Timing, number
from bench.scores.rules.trials import Trials, one_kind
from bench.statistics import clustered
from bench.statistics.reading import Reading
from bench.text import units

# Runs with these statuses were not completed, so they are no evidence.
NOT_TRIED = ("interrupted", "skipped")


class Rule(Requirements, ABC):
    """A rule book: when its clock runs, which runs qualify, and how their times make a score.

    A new rule book is a subclass in its own file, registered in `bench/scores/rules/__init__.py`. It defines how one
    run is timed and how the times make a score; what every rule checks is in `Requirements`.
    """

    name: ClassVar[str]
    # For readers: what its time contains, and how the score is made.
    clock: ClassVar[str]
    scoring: ClassVar[str]
    source: ClassVar[str]
    # The measures whose runs it can score.
    measures: ClassVar[tuple[str, ...]] = ("time_to_accuracy",)
    # The metric of energy in joules; the rules do not define one.
    energy_metric: ClassVar[str] = "train_energy_j"

    def score(
        self,
        runs: Sequence[Run | RunTimeline],
        target_accuracy: float | None = None,
        price_per_hour: float | None = None,
    ) -> Score:
        """The score of the runs of one cell on one machine, as `rules.groups` returns them.

        `target_accuracy` and `price_per_hour` (dollars, on demand) replace the values in the runs. If several rules
        score the same runs, pass `RunTimeline(run)` objects, so that the timelines are made only once. Raises
        ValueError without runs, for runs that are not repeats of each other, and for a measure that this rule does not
        score.
        """
        lines = [run if isinstance(run, RunTimeline) else RunTimeline(run) for run in runs]
        first = one_kind([line.run for line in lines])
        if first.measure not in self.measures:
            raise ValueError(f"{self.name} scores {' and '.join(self.measures)}, not {first.measure}")
        target = self.target(first) if target_accuracy is None else target_accuracy
        if has_other_quality(first):
            target = None
        tried = [line for line in lines if line.run.status not in NOT_TRIED]
        invalid = tuple(line.run for line in tried if line.run.status == INVALID)
        # Of a cell that is invalid as a whole, the numbers are told and do not qualify.
        is_void = len(invalid) == len(tried) > 0
        lines = sorted((one for one in tried if is_void or one.run.status != INVALID), key=lambda one: one.run.run_id)
        used = tuple(line.run for line in lines)
        timings = tuple(self.timing(line, target) for line in lines)
        untold = self.untold(used)
        if untold:
            timings = tuple(_by_accuracy_alone(timing, target) for timing in timings)
        kinds = _price_kinds(used) if price_per_hour is None else frozenset({"on_demand"})
        trials = Trials(tuple(lines), target, timings, len(runs) - len(tried), kinds)
        accuracies = trials.readings(timing.accuracy for timing in timings)
        successes = trials.readings(float(timing.reached) for timing in timings)
        joules = trials.readings(number(run, self.energy_metric) for run in used)
        prices = {run.price_per_hour for run in used} if price_per_hour is None else {price_per_hour}
        price = prices.pop() if len(prices) == 1 else None
        figures = Figures() if untold else self.figures(trials, price)
        findings = list(invalid_findings(invalid, is_void))
        if not is_void:
            common = self.common_findings(trials, price, self.scored(trials))
            findings += [*common, *(() if untold else self.findings(trials))]
        return Score(
            rule=self.name,
            task=task(first),
            cell=first.cell,
            recipe=first.recipe,
            target_accuracy=target,
            n=len(used),
            time_s=figures.time_s,
            cost_usd=figures.cost_usd,
            latency_ms=figures.latency_ms,
            energy_j=clustered.mean(joules, unit="J") if joules else None,
            accuracy=clustered.mean(accuracies) if accuracies else None,
            reached=clustered.share(successes) if used and target is not None else None,
            p_value=figures.p_value,
            timings=trials.timings,
            reasons=tuple(finding for finding in findings if finding.disqualifies),
            footnotes=tuple(finding for finding in findings if not finding.disqualifies),
        )

    @abstractmethod
    def timing(self, line: RunTimeline, target: float | None) -> Timing:
        """The timing of one run under this rule's clock."""

    @abstractmethod
    def figures(self, trials: Trials, price_per_hour: float | None) -> Figures:
        """The figures of these runs together."""

    @abstractmethod
    def findings(self, trials: Trials) -> Iterator[Finding]:
        """Remarks specific to this rule: why the runs do not qualify, or what a reader must know."""

    def scored(self, trials: Trials) -> list[Reading]:
        """The values of single runs that make the score, of which is said how much hosts differ."""
        return trials.times

    def target(self, run: Run) -> float | None:
        """The target accuracy in [0, 1] of the run, else that of its task."""
        return stated_target(run) or TASK_TARGETS.get(task(run))


def _by_accuracy_alone(timing: Timing, target: float | None) -> Timing:
    """Of a script that does not tell enough for a clock, only whether it reached the target."""
    reached = timing.accuracy is not None and target is not None and timing.accuracy >= target
    return replace(timing, time_s=None, reached=reached)


def _price_kinds(runs: Sequence[Run]) -> frozenset[str | None]:
    return frozenset(units.get(run.config, "resolved", "price_source", "kind") for run in runs)
