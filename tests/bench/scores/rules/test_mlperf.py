"""By MLPerf's training rules, "Run Results" and "Benchmark Results" (github.com/mlcommons/training_policies)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.runs.run import Run
from bench.scores.rules import rule

# From the first touch of the data: data 4, build 1, init 2, compile 3, warm_up 5.
READY_S = 15
REACHES = {1: [0.95], 2: [0.9, 0.95], 3: [0.9, 0.9, 0.95], 4: [0.9, 0.9, 0.9, 0.95]}

Codes = Callable[..., list[str]]


def test_the_clock_does_not_pause_for_evaluations(trained: Callable[..., Run]) -> None:
    (timing,) = rule("mlperf").score([trained([0.8, 0.94, 0.95])]).timings
    assert timing.time_s == READY_S + 2 * (10 + 1)
    assert timing.uncounted == {"start": 1, "import": 2, "device": 1, "train": 10, "eval": 1}


def test_it_stops_when_the_final_evaluation_is_known(trained: Callable[..., Run]) -> None:
    (timing,) = rule("mlperf").score([trained([0.8, 0.93], 0.95)]).timings
    assert timing.time_s == READY_S + 2 * 11 + 3


def test_initialisation_counts_after_half_an_hour(trained: Callable[..., Run]) -> None:
    run = trained([0.95])
    late = [{**span, "start_s": span["start_s"] + 2000, "end_s": span["end_s"] + 2000} for span in run.spans[3:]]
    slow = trained([0.95], spans=[*run.spans[:2], {**run.spans[2], "end_s": 2004.0}, *late])
    (timing,) = rule("mlperf").score([slow]).timings
    assert timing.time_s == READY_S + 11 + (2004 - 1800)


def test_the_fastest_and_the_slowest_are_dropped(trained: Callable[..., Run], codes: Codes) -> None:
    runs = [trained(REACHES[epochs], seed=90 + i) for i, epochs in enumerate((1, 2, 2, 3, 4))]
    score = rule("mlperf").score(runs)
    assert score.qualifies
    assert codes(score.footnotes) != ["seeds_chosen"]
    assert score.time_s is not None
    assert score.time_s.value == pytest.approx(READY_S + (22 + 22 + 33) / 3)
    assert score.time_s.n == 5


def test_one_that_does_not_converge_is_the_slowest(trained: Callable[..., Run], codes: Codes) -> None:
    runs = [trained(REACHES[epochs], seed=90 + i) for i, epochs in enumerate((1, 2, 2, 4))]
    score = rule("mlperf").score([*runs, trained([0.9], seed=99)])
    assert score.qualifies
    assert "one_not_converged" in codes(score.footnotes)
    assert score.time_s is not None
    assert score.time_s.value == pytest.approx(READY_S + (22 + 22 + 44) / 3)


def test_two_invalidate_the_result(trained: Callable[..., Run], codes: Codes) -> None:
    runs = [trained(REACHES[2], seed=90 + i) for i in range(4)]
    score = rule("mlperf").score([*runs, trained([0.9], seed=98), trained([0.9], seed=99, status="diverged")])
    assert codes(score.reasons) == ["not_converged"]
    assert score.time_s is None


def test_seeds_are_distinct_and_drawn(trained: Callable[..., Run], codes: Codes) -> None:
    score = rule("mlperf").score([trained([0.95], seed=7) for _ in range(5)])
    assert codes(score.reasons) == ["seeds_repeated"]
    score = rule("mlperf").score([trained([0.95], seed=seed) for seed in range(5)])
    assert score.qualifies
    assert "seeds_chosen" in codes(score.footnotes)


def test_too_few_runs_still_show_their_time(trained: Callable[..., Run], codes: Codes) -> None:
    score = rule("mlperf").score([trained([0.95], seed=7)])
    assert codes(score.reasons) == ["too_few_runs"]
    assert score.time_s is not None
    assert (score.time_s.n, score.time_s.low) == (1, None)
