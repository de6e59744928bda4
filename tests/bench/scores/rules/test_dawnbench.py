"""By its rules (dawn-bench-entries, README and issue 21): load and initialisation in, validation out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.runs.run import Run
from bench.scores.rules import rule
from bench.scores.rules.dawnbench import epoch_rows

# device 1, data 4, build 1, init 2, compile 3, warm_up 5
LOADED_S = 16

Codes = Callable[..., list[str]]


def test_the_first_epoch_at_the_target_ends_the_clock(trained: Callable[..., Run], codes: Codes) -> None:
    score = rule("dawnbench").score([trained([0.8, 0.94, 0.93, 0.95])])
    (timing,) = score.timings
    assert timing.time_s == LOADED_S + 2 * 10
    assert timing.counted["train"] == 20
    assert timing.uncounted == {"start": 1, "import": 2, "eval": 4, "train": 20}
    assert timing.reached_by is not None
    assert timing.reached_by.epoch == 2
    assert score.qualifies
    assert "tta" not in codes(score.footnotes)


def test_only_the_final_evaluation_reaches_it(trained: Callable[..., Run], codes: Codes) -> None:
    score = rule("dawnbench").score([trained([0.8, 0.93], 0.945)])
    assert score.time_s is not None
    assert score.time_s.value == LOADED_S + 20
    assert score.qualifies
    assert "tta" in codes(score.footnotes)


def test_a_last_evaluation_below_the_target_decides(trained: Callable[..., Run], codes: Codes) -> None:
    score = rule("dawnbench").score([trained([0.8, 0.945], 0.935)])
    assert codes(score.reasons) == ["not_reached"]
    assert score.time_s is None
    assert score.cost_usd is None


def test_the_task_has_a_target_of_its_own(trained: Callable[..., Run], codes: Codes) -> None:
    easy = trained([0.91, 0.92], metrics={"target_accuracy": 0.91, "accuracy": 0.92})
    assert codes(rule("dawnbench").score([easy]).reasons) == ["not_reached"]
    hard = trained([0.95, 0.96], metrics={"target_accuracy": 0.96, "accuracy": 0.96})
    score = rule("dawnbench").score([hard])
    assert score.target_accuracy == 0.94
    assert score.time_s is not None
    assert score.time_s.value == LOADED_S + 10


def test_cost_is_time_by_the_price_on_demand(trained: Callable[..., Run], codes: Codes) -> None:
    run = trained([0.94], price_per_hour=3.6)
    score = rule("dawnbench").score([run])
    assert score.cost_usd is not None
    assert score.cost_usd.value == pytest.approx(0.026)
    assert "price_kind" in codes(score.footnotes)
    assert rule("dawnbench").score([trained([0.94])], price_per_hour=7.2).cost_usd is not None


def test_a_spot_price_makes_no_cost(trained: Callable[..., Run], codes: Codes) -> None:
    run = trained([0.94], price_per_hour=3.6)
    run.config["resolved"] = {"price_source": {"kind": "spot"}}
    score = rule("dawnbench").score([run])
    assert score.cost_usd is None
    assert "spot_price" in codes(score.footnotes)
    run.config["resolved"] = {"price_source": {"kind": "on_demand"}}
    score = rule("dawnbench").score([run])
    assert score.cost_usd is not None
    assert not {"spot_price", "price_kind"} & set(codes(score.footnotes))


def test_a_price_that_is_given_takes_the_place_of_a_spot_price(trained: Callable[..., Run], codes: Codes) -> None:
    run = trained([0.94], price_per_hour=1.0)
    run.config["resolved"] = {"price_source": {"kind": "spot"}}
    score = rule("dawnbench").score([run], price_per_hour=3.6)
    assert score.cost_usd is not None
    assert score.cost_usd.value == pytest.approx(0.026)
    assert not {"spot_price", "price_kind"} & set(codes(score.footnotes))


def test_where_runs_missed_the_score_is_the_expected_time_until_one_succeeds(trained: Callable[..., Run]) -> None:
    lucky = rule("dawnbench").score([trained([0.94], seed=0), trained([0.9, 0.9], seed=1)])
    assert lucky.time_s is not None
    # 26 s, and 36 s for the miss before each success
    assert (lucky.time_s.value, lucky.time_s.n, lucky.n) == (62, 2, 2)
    assert lucky.reached is not None
    assert lucky.reached.value == 0.5
    text = next(finding.text for finding in lucky.footnotes if finding.code == "some_missed")
    assert "1 of 2" in text
    assert "26 s" in text
    steady = rule("dawnbench").score([trained([0.9, 0.9, 0.94], seed=seed) for seed in (0, 1)])
    assert steady.time_s is not None
    assert steady.time_s.value == LOADED_S + 30 < lucky.time_s.value


def test_rows_of_an_entry(trained: Callable[..., Run]) -> None:
    rows = epoch_rows(trained([0.8, 0.93], 0.945))
    assert rows == [(1, LOADED_S + 10, 0.8), (2, LOADED_S + 20, 0.945)]
