"""Runs in experiment trackers, written and read back by the trackers' own clients where they are installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.exchange.tracked_run import TrackedRun
from bench.runs.store import Store
from tests.bench.competitors import run


@pytest.fixture
def tracked() -> TrackedRun:
    return TrackedRun(run(tags=["final"], notes=["as in the paper"], metrics={"accuracy": 0.98, "loss": float("nan")}))


@pytest.fixture
def results(tmp_path: Path, tracked: TrackedRun) -> Path:
    store = Store(tmp_path / "results" / "runs" / "runs.jsonl")
    store.append(tracked.run)
    store.append(run(seed=1, status="crashed", reason="killed", metrics={}, epochs=[], spans=[]))
    return tmp_path / "results"


def ids(results: Path) -> list[str]:
    return [one.run_id for one in Store(results / "runs" / "runs.jsonl").read()]


class TestTrackedRun:
    def test_has_what_a_tracker_can_hold(self, tracked: TrackedRun) -> None:
        assert tracked.metrics == {"accuracy": 0.98}
        assert tracked.params["model.block"] == "wide"
        assert tracked.params["data"] == "digits"
        assert (tracked.name, tracked.group) == ("digits, seed 0", "digits")
        assert tracked.ended_s - tracked.began_s == 36.0

    def test_epochs_end_when_their_spans_do(self) -> None:
        spans = [
            {"name": name, "start_s": 0.0, "end_s": end_s, "epoch": epoch, "device_s": None}
            for name, end_s, epoch in (("train", 1.0, 1), ("eval", 2.0, 1), ("train", 5.0, 2))
        ]
        rows = [{"epoch": 1, "accuracy": 0.5, "note": "x"}, {"epoch": 2, "accuracy": None}]
        points = list(TrackedRun(run(spans=spans, epochs=rows)).epochs())
        assert [(one.epoch, one.metrics) for one in points] == [(1, {"accuracy": 0.5}), (2, {})]
        assert points[1].at_s - points[0].at_s == 3.0


@pytest.mark.parametrize(
    ("tracker", "module", "package"),
    [("mlflow", "mlflow", "mlflow-skinny"), ("wandb", "wandb", "wandb"), ("tensorboard", "tensorboard", "tensorboard")],
)
def test_without_its_package_a_tracker_says_how_to_get_it(
    bench, results, tmp_path, monkeypatch, tracker, module, package
):
    monkeypatch.setitem(sys.modules, module, None)
    answer = bench("export", tracker, "last", "--results", results, "--out", tmp_path / "out")
    assert answer.code == 3
    assert f"`pip install {package}`" in answer.err


def test_mlflow_has_them_once(bench, results, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    out = tmp_path / "mlruns"
    for expected in ("2 runs added", "0 runs added"):
        answer = bench("export", "mlflow", *ids(results), "--results", results, "--out", out)
        assert answer.code == 0, answer.err
        assert expected in answer.out
    client = mlflow.MlflowClient(tracking_uri=out.resolve().as_uri())
    experiment = client.get_experiment_by_name("digits")
    logged = {one.data.tags["bench.run_id"]: one for one in client.search_runs([experiment.experiment_id])}
    first, second = (logged[run_id] for run_id in ids(results))
    assert (first.info.status, second.info.status) == ("FINISHED", "FAILED")
    assert first.data.params["model.block"] == "wide"
    assert first.data.metrics["final/accuracy"] == 0.98
    assert first.data.tags["mlflow.note.content"] == "as in the paper"
    assert first.data.tags["bench.tag.final"] == "true"
    history = client.get_metric_history(first.info.run_id, "accuracy")
    assert [(one.step, one.value) for one in history] == [(1, 0.5), (2, 0.9), (3, 0.98)]


def test_tensorboard_has_them_once(bench, results, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "tb"
    for expected in ("2 runs added", "2 there already"):
        answer = bench("export", "tensorboard", *ids(results), "--results", results, "--out", out)
        assert answer.code == 0, answer.err
        assert expected in answer.out
    (place,) = out.glob(f"digits-seed0-{ids(results)[0]}")
    board = EventAccumulator(str(place))
    board.Reload()
    assert [(one.step, round(one.value, 4)) for one in board.Scalars("accuracy")] == [(1, 0.5), (2, 0.9), (3, 0.98)]
    assert board.Scalars("final/accuracy")[0].value == pytest.approx(0.98)
    assert "run/text_summary" in board.Tags()["tensors"]


def test_weights_and_biases_has_them_once_and_offline(bench, results, tmp_path):
    pytest.importorskip("wandb")
    out = tmp_path / "out"
    for expected in ("2 runs added", "2 there already"):
        answer = bench("export", "wandb", *ids(results), "--results", results, "--out", out)
        assert answer.code == 0, answer.err
        assert expected in answer.out
    made = sorted((out / "wandb").glob("offline-run-*"))
    assert len(made) == 2
    (record,) = next(one for one in made if one.name.endswith(ids(results)[0])).glob("*.wandb")
    content = record.read_bytes()
    assert b"accuracy" in content
    assert b"as in the paper" in content
