from __future__ import annotations

from collections.abc import Callable

from bench.runs.run import Run
from bench.scores.rules import rule

Codes = Callable[..., list[str]]


def test_everything_counts(trained: Callable[..., Run]) -> None:
    score = rule("coldstart").score([trained([0.8, 0.93], 0.95)])
    (timing,) = score.timings
    assert timing.time_s == 19 + 2 * 11 + 3
    assert timing.uncounted == {}
    assert score.qualifies


def test_failed_runs_are_repeated(trained: Callable[..., Run]) -> None:
    runs = [trained([0.95], seed=0), trained([0.95], seed=1), trained([0.9, 0.9], seed=2)]
    score = rule("coldstart").score(runs)
    # 30 s for a success, and half of 41 s for the failures before it
    assert score.time_s is not None
    assert score.time_s.value == 30 + 41 / 2
    assert score.time_s.n == 3


def test_nothing_that_never_arrives_has_a_time(trained: Callable[..., Run], codes: Codes) -> None:
    score = rule("coldstart").score([trained([0.9])])
    assert score.time_s is None
    assert codes(score.reasons) == ["not_reached"]


def test_a_sweep_starts_warm(trained: Callable[..., Run], codes: Codes) -> None:
    assert codes(rule("coldstart").score([trained([0.95], sweep="digits")]).reasons) == ["warm_start"]


def test_an_accuracy_without_spans_is_no_time(trained: Callable[..., Run]) -> None:
    score = rule("coldstart").score([trained([0.94], spans=[], epochs=[])])
    assert score.time_s is None
    judged = rule("dawnbench").score([trained([0.94], spans=[], epochs=[])])
    assert "no evaluation that says when" in judged.reasons[0].text
