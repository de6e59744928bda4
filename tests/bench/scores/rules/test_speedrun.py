"""By airbench's practice (arXiv 2404.00498), and modded-nanogpt's p-value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from scipy import stats as scipy_stats

from bench.runs.run import Run
from bench.scores.rules import Score, rule

Codes = Callable[..., list[str]]


def score_of(trained: Callable[..., Run], finals: Sequence[float], **fields: Any) -> Score:
    return rule("speedrun").score([trained([0.9, 0.93], final, seed=i, **fields) for i, final in enumerate(finals)])


def test_initialisation_training_and_final_evaluation_count(trained: Callable[..., Run]) -> None:
    timing = score_of(trained, [0.945]).timings[0]
    assert timing.counted == {"init": 2, "train": 20, "final_eval": 3}
    assert timing.time_s == 25
    assert timing.uncounted["compile"] == 3
    assert timing.uncounted["warm_up"] == 5
    assert timing.uncounted["eval"] == 2


def test_the_last_evaluation_is_the_final_one_where_both_are_the_same(trained: Callable[..., Run]) -> None:
    (timing,) = rule("speedrun").score([trained([0.9, 0.95])]).timings
    assert timing.counted == {"init": 2, "train": 20, "eval": 1}


def test_single_runs_may_miss_what_the_mean_reaches(trained: Callable[..., Run], codes: Codes) -> None:
    finals = [0.9395, 0.9405, 0.9410, 0.9398, 0.9402]
    score = score_of(trained, finals)
    assert score.qualifies
    assert score.time_s is not None
    assert (score.time_s.value, score.time_s.n) == (25, 5)
    assert score.reached is not None
    assert score.reached.value == 0.6
    assert score.p_value is not None
    assert score.p_value.p == pytest.approx(scipy_stats.ttest_1samp(finals, 0.94, alternative="greater").pvalue)
    assert "not_significant" in codes(score.footnotes)


def test_a_convincing_mean_needs_no_footnote(trained: Callable[..., Run], codes: Codes) -> None:
    score = score_of(trained, [0.9440, 0.9445, 0.9450, 0.9442, 0.9447])
    assert score.qualifies
    assert "not_significant" not in codes(score.footnotes)


def test_a_mean_at_the_target_is_not_below_it_by_rounding(trained: Callable[..., Run]) -> None:
    assert score_of(trained, [0.94] * 6).qualifies


def test_a_mean_below_the_target_does_not_qualify(trained: Callable[..., Run], codes: Codes) -> None:
    score = score_of(trained, [0.9395, 0.9399, 0.9401, 0.9396, 0.9398])
    assert codes(score.reasons) == ["mean_below_target"]
    assert "93.978%" in score.reasons[0].text


def test_why_else_runs_do_not_qualify(trained: Callable[..., Run], codes: Codes) -> None:
    good = [0.944, 0.9445, 0.945, 0.9442, 0.9447]
    assert codes(score_of(trained, good[:4]).reasons) == ["too_few_runs"]
    config = trained([0.9], 0.945).config
    assert codes(score_of(trained, good, config=config | {"stop_at_target": True}).reasons) == ["epochs_not_fixed"]
    assert codes(score_of(trained, good, config=config | {"warm_up_steps": 0}).reasons) == ["no_warm_up"]
    on_cpu = score_of(trained, good, config=config | {"warm_up_steps": 0, "device": "cpu"})
    assert on_cpu.qualifies
    assert "no_warm_up_on_cpu" in codes(on_cpu.footnotes)
    runs = [trained([0.9], final, seed=i) for i, final in enumerate(good)]
    crashed = trained([0.9], metrics={}, status="crashed", seed=9)
    assert codes(rule("speedrun").score([*runs, crashed]).reasons) == ["unfinished_runs"]


def test_test_time_augmentation_is_said(trained: Callable[..., Run], codes: Codes) -> None:
    config = trained([0.9], 0.945).config
    flagged = score_of(trained, [0.945] * 5, config=config | {"evaluation": {"tta": 2}})
    assert "tta" in codes(flagged.footnotes)
