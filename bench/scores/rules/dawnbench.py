"""DAWNBench: time and cost until the first epoch whose test accuracy is at the target.

Source: github.com/stanford-futuredata/dawn-bench-entries, its README and issues 9, 12 and 21: loading the data and
initialising the network count, validation and checkpoints need not; costs use public cloud prices.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

from bench.runs.run import Run
from bench.scores.rules.dawnbench_inference import price_findings
from bench.scores.rules.rule_book import Rule
from bench.scores.rules.score import Figures, Finding, of_time
from bench.scores.rules.task import TASK_TARGETS, task
from bench.scores.rules.timing import TRAINING, RunTimeline, TimedEvaluation, TimelinePiece, Timing
from bench.scores.rules.trials import Trials
from bench.statistics import clustered

# A program's own clock starts after its imports; the rule excludes validation and checkpoints. In `other_eval` a script
# evaluated without telling the accuracy.
UNCOUNTED = ("start", "import", "eval", "final_eval", "other_eval", "checkpoint")
# What a script's clock excludes only if it reports a span of it.
APART = (({"import"}, "imports"), ({"eval", "final_eval"}, "evaluations"))


class EpochRow(NamedTuple):
    """The state after an epoch, as in a row of an entry's TSV file, in seconds on this rule's clock."""

    epoch: int
    time_s: float
    accuracy: float


class DawnBench(Rule):
    """A run's time is that of its first row at the target. The last row has the final accuracy, so a target that only
    the final evaluation reaches, through its test-time augmentation, is reached after the last epoch.

    The rule mentions neither TTA nor a number of runs: an entry is one run. Here a cell has several, and a lucky one
    must not rank before a reliable one. If runs missed the target, the score is the expected time until one reaches it,
    and a footnote says how many missed it. A task's own target takes precedence.

    A run that was interrupted and went on from a checkpoint counts with all the work of both parts, that which was lost
    too, because it was paid for; the pause between them was not. The rule excludes checkpoints.
    """

    name = "dawnbench"
    clock = "data loading, initialisation, compilation and training; imports, validation and checkpoints are outside"
    scoring = (
        "mean time to the first epoch at or above the target; where runs missed it, expected time until one gets there"
    )
    source = "github.com/stanford-futuredata/dawn-bench-entries"
    distinct_seeds = False
    takes_imported = True
    script_tells = ((("epochs",), "when its epochs ended"),)
    against_shared_process = "loading, initialisation and compilation count, and all but the first found them done"
    against_resumed = None

    def target(self, run: Run) -> float | None:
        return TASK_TARGETS.get(task(run)) or super().target(run)

    def timing(self, line: RunTimeline, target: float | None) -> Timing:
        first = next((row for row in _rows(line) if target is not None and row.accuracy >= target), None)
        end_s = _trained_s(line, first) if first else None
        return line.timed(_begin_s(line), end_s, _ticks, reached=first is not None, reached_by=first)

    def figures(self, trials: Trials, price_per_hour: float | None) -> Figures:
        price = None if "spot" in trials.price_kinds else price_per_hour
        if not trials.times_s:
            return Figures()
        missed = trials.readings(
            None if timing.reached else math.fsum(timing.counted.values()) for timing in trials.timings
        )
        time_s = clustered.time_to_success(trials.times, missed) if missed else clustered.mean(trials.times, unit="s")
        return of_time(time_s, price)

    def findings(self, trials: Trials) -> Iterator[Finding]:
        n, missed = len(trials.runs), len(trials.runs) - trials.reached
        if trials.reached and missed:
            lucky_s = clustered.mean(trials.times).value
            text = f"{missed} of {n} runs never reached the target; those that did took {lucky_s:.4g} s in the mean"
            yield Finding("some_missed", text)
        levels = sorted({timing.reached_by.tta for timing in trials.timings if timing.reached_by} - {0})
        if levels:
            shown = ", ".join(map(str, levels))
            yield Finding("tta", f"reached with test-time augmentation, level {shown}, on which the rule is silent")
        scripts = [run.reported for run in trials.runs if run.is_script]
        counted = [what for spans, what in APART if any(not told & spans for told in scripts)]
        if counted and trials.times_s:
            text = f"the script's {' and '.join(counted)} are on the clock, because no spans tell them apart"
            yield Finding("undivided", text)
        yield from price_findings(trials)


def epoch_rows(run: Run) -> list[EpochRow]:
    """The rows of this run's entry, one for each evaluated epoch."""
    line = RunTimeline(run)
    begin_s, rows = _begin_s(line), []
    for look in _rows(line):
        counted = line.timed(begin_s, _trained_s(line, look), _ticks, reached=False).counted
        rows.append(EpochRow(look.epoch, math.fsum(counted.values()), look.accuracy))
    return rows


def _rows(line: RunTimeline) -> list[TimedEvaluation]:
    """The last evaluation of each epoch."""
    return list({look.epoch: look for look in line.evaluations}.values())


def _trained_s(line: RunTimeline, look: TimedEvaluation) -> float:
    """The end of the training before this evaluation."""
    ends = (piece.end_s for piece in line.pieces if piece.name in TRAINING and piece.end_s <= look.piece.start_s)
    return max(ends, default=0.0)


def _begin_s(line: RunTimeline) -> float:
    """The time at which the program's own clock can start; a resumed run starts and imports again later."""
    first = itertools.takewhile(lambda piece: piece.name not in TRAINING, line.pieces)
    return max((piece.end_s for piece in first if piece.name in ("start", "import")), default=0.0)


def _ticks(piece: TimelinePiece) -> bool:
    return piece.name not in UNCOUNTED
