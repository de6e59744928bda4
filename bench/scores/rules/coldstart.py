"""Cold start: everything that a person waits for, from the command to the answer."""

from __future__ import annotations

from collections.abc import Iterator

from bench.runs.run import FINISHED
from bench.scores.rules.rule_book import Rule
from bench.scores.rules.score import Figures, Finding, of_time
from bench.scores.rules.timing import RunTimeline, Timing
from bench.scores.rules.trials import Trials
from bench.statistics import clustered


class ColdStart(Rule):
    """The clock runs from the command to the last evaluation, including imports, compilation and evaluations.

    After a failed run a person must start again, so the score includes failed runs.
    """

    name = "coldstart"
    clock = "everything, from the command to the last evaluation"
    scoring = "mean; where runs failed, the expected time until one succeeds"
    source = "this project"
    distinct_seeds = False
    official_data = False
    energy_metric = "energy_j"
    against_shared_process = "not cold, and nobody waits so for a single seed"
    against_resumed = "not one command, and only the first one started cold"
    takes_kept_programs = False

    def timing(self, line: RunTimeline, target: float | None) -> Timing:
        final = line.accuracy if line.run.status in FINISHED else None
        reached = final is not None and target is not None and final >= target
        # A success without spans did not take 0 s. A failure without spans crashed before the first span ended. Weights
        # are saved after the last evaluation, for another command.
        end_s = max((piece.end_s for piece in line.pieces if piece.name != "checkpoint"), default=0.0)
        return line.timed(0.0, None if reached and not line.pieces else end_s, reached=reached)

    def figures(self, trials: Trials, price_per_hour: float | None) -> Figures:
        successes = trials.readings(timing.time_s if timing.reached else None for timing in trials.timings)
        failures = trials.readings(None if timing.reached else timing.time_s for timing in trials.timings)
        if not successes:
            return Figures()
        time_s = clustered.time_to_success(successes, failures) if failures else clustered.mean(successes, unit="s")
        return of_time(time_s, price_per_hour)

    def findings(self, trials: Trials) -> Iterator[Finding]:
        if any(run.sweep is not None and not run.is_script for run in trials.runs):
            yield Finding("warm_start", "not cold: a sweep's workers find torch imported; use bench run", True)
