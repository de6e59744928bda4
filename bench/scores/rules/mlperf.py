"""MLPerf training: the clock runs without pause from the first touch of the data until the target is known to be
reached.

Source: github.com/mlcommons/training_policies, training_rules.adoc, "Run Results" and "Benchmark Results".
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.scores.rules.rule_book import Rule
from bench.scores.rules.score import Figures, Finding, of_time
from bench.scores.rules.timing import RunTimeline, Timing
from bench.scores.rules.trials import Trials
from bench.statistics import clustered
from bench.statistics.estimates import Estimate

# Initialisation beyond this time counts.
FREE_INITIALISATION_S = 30 * 60.0
# An olympic mean needs at least one value between the extremes.
LEAST_FOR_OLYMPIC = 3


class MLPerf(Rule):
    """Time to target as in MLPerf's training benchmark; CIFAR-10 is not one of its tasks.

    This harness reads its data before it builds and compiles the network, so both count. Stopping at the first
    evaluation at the target, with any TTA, is the best case: MLPerf's reference would fix the evaluation.
    """

    name = "mlperf"
    clock = "from the first touch of the data to the evaluation that reaches the target, without a pause"
    scoring = "olympic mean: without the fastest and the slowest run; one failed run may be the slowest"
    source = "github.com/mlcommons/training_policies"
    # The number of runs it requires for image classification.
    least_runs = 5
    script_tells = (
        (("data",), "when it first touched its data, where this clock starts"),
        (("epochs",), "when its epochs ended"),
    )
    against_shared_process = "its clock starts at the first touch of the data, which all but the first found loaded"
    against_resumed = "its clock has no pause"

    def timing(self, line: RunTimeline, target: float | None) -> Timing:
        touched_s = next((piece.start_s for piece in line.pieces if piece.name == "data"), math.inf)
        first = line.first_at(target)
        end_s = first.piece.end_s if first else None
        begin_s = min(touched_s, FREE_INITIALISATION_S)
        return line.timed(begin_s, end_s, reached=first is not None, reached_by=first)

    def figures(self, trials: Trials, price_per_hour: float | None) -> Figures:
        return of_time(_score_s(trials), price_per_hour)

    def findings(self, trials: Trials) -> Iterator[Finding]:
        if _failed(trials) > 1:
            text = f"{_failed(trials)} of {len(trials.runs)} runs did not converge, and two invalidate a result"
            yield Finding("not_converged", text, True)
        if _failed(trials) == 1:
            yield Finding("one_not_converged", "one run did not converge, and counts as the slowest")
        seeds = sorted(run.seed for run in trials.runs)
        if seeds == list(range(len(seeds))):
            yield Finding("seeds_chosen", "the seeds are 0, 1, 2, …; the rule wants them from a clock or the system")


def _failed(trials: Trials) -> int:
    return len(trials.runs) - len(trials.times_s)


def _score_s(trials: Trials) -> Estimate | None:
    if len(trials.runs) < LEAST_FOR_OLYMPIC:
        return clustered.mean(trials.times, unit="s") if trials.times else None
    if _failed(trials) > 1:
        return None
    times = trials.readings(math.inf if timing.time_s is None else timing.time_s for timing in trials.timings)
    return clustered.olympic_mean(times, unit="s")
