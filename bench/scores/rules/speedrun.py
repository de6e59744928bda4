"""The speedrun rule of airbench: a fixed recipe whose mean accuracy reaches the target, timed without its start-up.

Source: github.com/KellerJordan/cifar10-airbench and arXiv 2404.00498; the p-value after modded-nanogpt's rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bench.runs.run import FINISHED, Run
from bench.scores.rules.rule_book import Rule
from bench.scores.rules.score import Figures, Finding, of_time
from bench.scores.rules.timing import RunTimeline, TimelinePiece, Timing, number
from bench.scores.rules.trials import Trials
from bench.statistics import clustered
from bench.statistics.estimates import SignificanceTest
from bench.statistics.reading import Reading

COUNTED = ("init", "train")
# The p-value that modded-nanogpt requires of a new record.
CONVINCING_P = 0.01
# Rounding may put the mean of accuracies at the target slightly below it.
ROUNDING = 1e-9


class Speedrun(Rule):
    """The clock includes initialisation from the data, all training epochs and the final evaluation. It excludes
    start-up, data loading, compilation, warm-up and evaluations between epochs.

    The mean of all runs must reach the target; single runs may miss it. The source fixes no number of runs; the minimum
    of five is ours. The source uses device events; here it is the host's clock around an idle device, which is longer
    by microseconds.
    """

    name = "speedrun"
    clock = "initialisation from the data, training and the final evaluation; compilation and warm-up are outside"
    scoring = "mean time of all runs, whose mean accuracy reaches the target in a fixed number of epochs"
    source = "github.com/KellerJordan/cifar10-airbench"
    least_runs = 5
    script_tells = (
        (("train",), "when it trained"),
        (("eval", "final_eval"), "when it evaluated"),
    )
    against_resumed = "the source times a training in one piece, and a machine that has rested is faster"

    def timing(self, line: RunTimeline, target: float | None) -> Timing:
        final = line.evaluations[-1] if line.evaluations and _complete(line.run) else None

        def ticks(piece: TimelinePiece) -> bool:
            return piece.name in COUNTED or (final is not None and piece == final.piece)

        end_s = final.piece.end_s if final else None
        reached = final is not None and target is not None and final.accuracy >= target
        return line.timed(0.0, end_s, ticks, reached=reached, reached_by=final if reached else None)

    def figures(self, trials: Trials, price_per_hour: float | None) -> Figures:
        figures = of_time(clustered.mean(trials.times, unit="s") if trials.times else None, price_per_hour)
        return replace(figures, p_value=_p_value(trials))

    def findings(self, trials: Trials) -> Iterator[Finding]:
        accuracies, n = _accuracies(trials), len(trials.runs)
        if len(accuracies) < n:
            yield Finding("unfinished_runs", f"{n - len(accuracies)} of {n} runs gave no final accuracy", True)
        mean = clustered.mean(accuracies).value if accuracies else None
        if mean is not None and trials.target is not None and mean < trials.target - ROUNDING:
            yield Finding("mean_below_target", f"mean accuracy {mean:.3%} is below {trials.target:.2%}", True)
        if any(run.config.get("stop_at_target") for run in trials.runs):
            yield Finding(
                "epochs_not_fixed", "stop_at_target ends runs early; the rule wants a fixed number of epochs", True
            )
        if any(run.config.get("device") == "cuda" and not _warmed_up(run) for run in trials.runs):
            yield Finding("no_warm_up", "no warm-up before the clock; set warm_up_steps to 10 or so", True)
        test = _p_value(trials)
        if test is not None and (test.p is None or test.p >= CONVINCING_P):
            shown = "p unknown" if test.p is None else f"p = {test.p:.2g}"
            text = (
                f"no proof that the true mean is above the target: {shown}, n = {test.n}, below {CONVINCING_P:g} is one"
            )
            yield Finding("not_significant", text)
        levels = {timing.reached_by.tta for timing in trials.timings if timing.reached_by} - {0}
        if levels:
            yield Finding("tta", f"with test-time augmentation, level {', '.join(map(str, sorted(levels)))}")
        if not all(_warmed_up(run) or run.config.get("device") == "cuda" for run in trials.runs):
            yield Finding("no_warm_up_on_cpu", "no warm-up: the first epoch pays one-time costs")


def _p_value(trials: Trials) -> SignificanceTest | None:
    accuracies = _accuracies(trials)
    return clustered.p_at_least(accuracies, trials.target) if accuracies and trials.target is not None else None


def _complete(run: Run) -> bool:
    return number(run, "accuracy") is not None and run.status in FINISHED


def _accuracies(trials: Trials) -> list[Reading]:
    complete = {run.run_id for run in trials.runs if _complete(run)}
    return trials.readings(t.accuracy if t.run_id in complete else None for t in trials.timings)


def _warmed_up(run: Run) -> bool:
    return bool(run.config.get("warm_up_steps") or run.reported & {"warm_up", "compile"})
