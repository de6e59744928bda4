from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from bench.runs.run import Run
from bench.scores.rules import rule

METRICS = {"latency_mean_ms": 0.8, "latency_relative_error": 0.01, "latency_n": 1000}

Codes = Callable[..., list[str]]


@pytest.fixture
def timed(make_run: Callable[..., Run]) -> Callable[..., Run]:
    def make(metrics: dict[str, Any], **fields: Any) -> Run:
        return make_run(
            measure="inference",
            metrics=METRICS | metrics,
            data={"name": "cifar10", "official": True},
            **fields,
        )

    return make


def test_latency_is_a_mean_of_requests_and_cost_is_of_one_image(timed: Callable[..., Run]) -> None:
    score = rule("dawnbench", "inference").score([timed({"accuracy": 0.942}, price_per_hour=3.6)])
    assert score.qualifies
    assert score.task == "cifar10/inference"
    latency, cost = score.latency_ms, score.cost_usd
    assert latency is not None
    assert (latency.value, latency.n, latency.unit) == (0.8, 1000, "ms")
    assert latency.low == pytest.approx(0.8 - 1.96 * 0.008, abs=1e-4)
    assert cost is not None
    assert cost.value == pytest.approx(8e-7)
    assert cost.unit == "USD"
    assert score.time_s is None


def test_an_image_that_was_not_asked_for_is_said(timed: Callable[..., Run], codes: Codes) -> None:
    data = {"name": "cifar10", "official": True, "test_count": 10_000}
    for images, said in ((1024, ["requests"]), (10_000, [])):
        run = msgspec.structs.replace(timed({"accuracy": 0.942, "latency_images": images}), data=data)
        footnotes = codes(rule("dawnbench", "inference").score([run], price_per_hour=1.0).footnotes)
        assert [code for code in footnotes if code == "requests"] == said


def test_a_second_view_is_said(timed: Callable[..., Run], codes: Codes) -> None:
    for inference, said in ((None, []), ({"mirror": False}, []), ({"mirror": True}, ["tta"])):
        run = timed({"accuracy": 0.942}, config={"inference": inference})
        footnotes = codes(rule("dawnbench", "inference").score([run], price_per_hour=1.0).footnotes)
        assert [code for code in footnotes if code == "tta"] == said


def test_several_runs_are_a_sample_of_runs(timed: Callable[..., Run]) -> None:
    score = rule("dawnbench", "inference").score(
        [timed({"latency_mean_ms": ms}, seed=i) for i, ms in enumerate((1, 3))]
    )
    assert score.latency_ms is not None
    assert (score.latency_ms.value, score.latency_ms.n) == (2, 2)


def test_an_untrained_network_does_not_qualify(timed: Callable[..., Run], codes: Codes) -> None:
    score = rule("dawnbench", "inference").score([timed({})])
    assert codes(score.reasons) == ["not_reached", "accuracy_unknown"]
    assert score.latency_ms is not None


def test_an_inaccurate_network_does_not_qualify(timed: Callable[..., Run], codes: Codes) -> None:
    assert codes(rule("dawnbench", "inference").score([timed({"accuracy": 0.93})]).reasons) == ["not_reached"]
