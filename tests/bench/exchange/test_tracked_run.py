"""What experiment trackers get of a run."""

from __future__ import annotations

import pytest

from bench.exchange.tracked_run import TrackedRun
from tests.bench.competitors import run


def test_has_what_a_tracker_can_hold() -> None:
    tracked = TrackedRun(run(metrics={"accuracy": 0.98, "reached": True, "loss": float("nan"), "none": None}))
    assert tracked.metrics == {"accuracy": 0.98, "reached": 1.0}
    assert tracked.params["model.block"] == "wide"
    assert tracked.params["data"] == "digits"
    assert (tracked.name, tracked.group) == ("digits, seed 0", "digits")
    assert tracked.ended_s - tracked.began_s == pytest.approx(36.0)


def test_epochs_end_when_their_spans_do() -> None:
    spans = [
        {"name": name, "start_s": 0.0, "end_s": end_s, "epoch": epoch, "device_s": None}
        for name, end_s, epoch in (("train", 1.0, 1), ("eval", 2.0, 1), ("train", 5.0, 2))
    ]
    rows = [{"epoch": 1, "accuracy": 0.5, "note": "x"}, {"epoch": 2, "accuracy": None}]
    points = list(TrackedRun(run(spans=spans, epochs=rows)).epochs())
    assert [(one.epoch, one.metrics) for one in points] == [(1, {"accuracy": 0.5}), (2, {})]
    assert points[1].at_s - points[0].at_s == pytest.approx(3.0)


def test_the_spans_of_older_records_count_epochs_from_0() -> None:
    spans = [{"name": "train", "start_s": 0.0, "end_s": end_s, "epoch": epoch} for epoch, end_s in ((0, 1.0), (1, 5.0))]
    tracked = TrackedRun(run(spans=spans, epochs=[{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}]))
    assert [one.at_s - tracked.began_s for one in tracked.epochs()] == [pytest.approx(1.0), pytest.approx(5.0)]
