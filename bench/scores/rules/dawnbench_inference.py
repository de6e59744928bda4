"""DAWNBench's inference track: milliseconds and dollars for one image, with a network that is accurate enough.

Source: github.com/stanford-futuredata/dawn-bench-entries, its README and issues 32 and 72: all test images one at a
time, never in batches; real data, which may already be in memory; computing the accuracy is not timed.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.runs.run import Run
from bench.scores.rules.rule_book import Rule
from bench.scores.rules.score import Figures, Finding
from bench.scores.rules.task import TASK_TARGETS, task
from bench.scores.rules.timing import RunTimeline, Timing, number
from bench.scores.rules.trials import Trials
from bench.statistics import clustered, estimates
from bench.statistics.estimates import Estimate
from bench.statistics.reading import Reading
from bench.text import units


class DawnBenchInference(Rule):
    """Scores `bench run RECIPE --measure inference`: the mean latency of batches of one.

    `time_s` is None: the score is the latency and the cost of one image.
    """

    name = "dawnbench"
    clock = "one image from the call to the result, batch 1"
    scoring = "mean latency over the test images; cost of one image"
    source = "github.com/stanford-futuredata/dawn-bench-entries"
    measures = ("inference",)
    distinct_seeds = False
    takes_imported = True

    def target(self, run: Run) -> float | None:
        return TASK_TARGETS.get(task(run)) or super().target(run)

    def timing(self, line: RunTimeline, target: float | None) -> Timing:
        reached = line.accuracy is not None and target is not None and line.accuracy >= target
        return line.timed(0.0, None, lambda piece: piece.name == "measure", reached=reached)

    def figures(self, trials: Trials, price_per_hour: float | None) -> Figures:
        latency_ms = _latency_ms(trials)
        if latency_ms is None or price_per_hour is None or "spot" in trials.price_kinds:
            return Figures(latency_ms=latency_ms)
        return Figures(latency_ms=latency_ms, cost_usd=latency_ms.scaled(price_per_hour / 3.6e6, "USD"))

    def scored(self, trials: Trials) -> list[Reading]:
        return _latencies_ms(trials)

    def findings(self, trials: Trials) -> Iterator[Finding]:
        if all(number(run, "latency_mean_ms") is None for run in trials.runs):
            yield Finding("no_latency", "no latency was measured", True)
        if any(number(run, "accuracy") is None for run in trials.runs):
            yield Finding(
                "accuracy_unknown", "the network that was timed is untrained, so its accuracy is unknown", True
            )
        if not all(run.config.get("imported") or _asked_for_all(run) for run in trials.runs):
            yield Finding("requests", "the mean of requests drawn from the first test images, not one for each of them")
        if any(units.get(run.config, "inference", "mirror") for run in trials.runs):
            yield Finding("tta", "each answer is of an image and its mirror image, level 1 of test-time augmentation")
        remarks = {run.reason for run in trials.runs if run.reason}
        if remarks:
            yield Finding("sampling", "; ".join(sorted(remarks)))
        yield from price_findings(trials)


def _asked_for_all(run: Run) -> bool:
    """Whether every test image was requested."""
    images, count = number(run, "latency_images"), run.data.get("test_count")
    return images is not None and count is not None and images >= count


def price_findings(trials: Trials) -> Iterator[Finding]:
    """Remarks on the cost; the rule requires on-demand prices."""
    if "spot" in trials.price_kinds:
        yield Finding("spot_price", "no cost: a spot price is not allowed; name one on demand with --price")
    elif trials.price_kinds != {"on_demand"} and any(run.price_per_hour is not None for run in trials.runs):
        yield Finding("price_kind", "whether the price is the one on demand, as the rule wants it, is not recorded")


def _latency_ms(trials: Trials) -> Estimate | None:
    """The mean of the runs' means; for a single run, the mean of its requests, with n the number of requests."""
    measured = _latencies_ms(trials)
    if len(measured) != 1:
        return clustered.mean(measured, unit="ms") if measured else None
    run = next(run for run in trials.runs if number(run, "latency_mean_ms") is not None)
    n = int(number(run, "latency_n") or 1)
    return estimates.from_error(measured[0].value, number(run, "latency_relative_error"), n, unit="ms")


def _latencies_ms(trials: Trials) -> list[Reading]:
    return trials.readings(number(run, "latency_mean_ms") for run in trials.runs)
