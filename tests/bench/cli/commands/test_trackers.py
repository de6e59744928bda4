"""Runs in experiment trackers, written and read back by the trackers' own clients where they are installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.runs.store import Store
from tests import command
from tests.bench.competitors import run


@pytest.fixture
def results(tmp_path: Path) -> Path:
    store = Store(tmp_path / "results" / "runs" / "runs.jsonl")
    store.append(run(tags=["final"], notes=["as in the paper"], metrics={"accuracy": 0.98, "loss": float("nan")}))
    store.append(run(seed=1, status="crashed", reason="RuntimeError:\nkilled", metrics={}, epochs=[], spans=[]))
    return tmp_path / "results"


def ids(results: Path) -> list[str]:
    return [one.run_id for one in Store(results / "runs" / "runs.jsonl").read()]


def export_twice(tracker: str, results: Path, out: Path) -> None:
    """In processes of their own, because a client may leave threads and processes behind."""
    for expected in ("2 runs added", "0 runs added"):
        done = command.bench("export", tracker, *ids(results), "--results", results, "--out", out, cwd=results.parent)
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout


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


def test_mlflow_has_them_once(results, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow = pytest.importorskip("mlflow")
    out = tmp_path / "mlruns"
    export_twice("mlflow", results, out)
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


def test_tensorboard_has_them_once(results, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "tb"
    export_twice("tensorboard", results, out)
    (place,) = out.glob(f"digits-seed0-{ids(results)[0]}")
    board = EventAccumulator(str(place))
    board.Reload()
    assert [(one.step, round(one.value, 4)) for one in board.Scalars("accuracy")] == [(1, 0.5), (2, 0.9), (3, 0.98)]
    assert board.Scalars("final/accuracy")[0].value == pytest.approx(0.98)
    (crashed,) = out.glob(f"digits-seed1-{ids(results)[1]}")
    board = EventAccumulator(str(crashed))
    board.Reload()
    (table,) = board.Tensors("run/text_summary")
    assert b"\n| bench.reason | RuntimeError: killed |\n" in table.tensor_proto.string_val[0]


def test_weights_and_biases_has_them_once_and_offline(results, tmp_path):
    pytest.importorskip("wandb")
    out = tmp_path / "out"
    export_twice("wandb", results, out)
    made = sorted((out / "wandb").glob("offline-run-*"))
    assert len(made) == 2
    (record,) = next(one for one in made if one.name.endswith(ids(results)[0])).glob("*.wandb")
    content = record.read_bytes()
    assert b"accuracy" in content
    assert b"as in the paper" in content
