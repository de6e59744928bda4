"""A task from the command line: the network that judges, then the training, its record, its pictures, its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from bench.runs.run import Run
from bench.runs.store import Store

QUICK = ["--set", "model.width=4", "--set", "epochs=1", "--set", "target_accuracy=null"]
TINY = ["--set", "model.width=4", "--set", "epochs=4", "--set", "evaluation.every_epochs=2", "--set", "task.samples=60"]


@pytest.fixture(scope="module")
def folder(here, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results of one classifier that kept its weights, and of one WGAN."""
    folder = tmp_path_factory.mktemp("task")
    for arguments in (("digits", "--keep-weights", *QUICK), ("wgan_smoke", *TINY)):
        answer = here(folder, "run", *arguments)
        assert answer.code == 0, answer.out + answer.err
    return folder


@pytest.fixture(scope="module")
def runs(folder: Path) -> list[Run]:
    return Store(folder / "results" / "runs" / "runs.jsonl").read()


def test_the_record_says_what_was_measured_and_by_which_network(runs):
    judge, run = runs
    assert run.status == "ok"
    assert run.config["resolved"]["quality"] == {"name": "frechet_distance", "better": "lower"}
    assert run.config["resolved"]["nets"] == {"features": judge.run_id}
    assert judge.config["resolved"]["kept_weights"]["sha256"].startswith(run.config["task"]["features"]["sha256"])
    assert run.metrics["frechet_distance"] > 0
    assert 0 < run.metrics["class_coverage"] <= 1
    assert run.metrics["batches_per_s"] > 0
    assert run.metrics["peak_host_bytes"] > 0
    assert "accuracy" not in run.metrics
    assert ["frechet_distance" in row for row in run.epochs] == [False, True, False, True]
    assert all({"loss", "generator_steps"} <= row.keys() for row in run.epochs)
    assert run.epochs[-1]["frechet_distance"] == run.metrics["frechet_distance"]
    assert [span["name"] for span in run.spans].count("draw") == 2


def test_pictures_are_beside_the_log(folder, runs):
    run = runs[1]
    kept = run.config["resolved"]["pictures"]
    assert [(one["name"], one["epoch"]) for one in kept] == [("samples", 2), ("samples", 4)]
    for one in kept:
        file = folder / "results" / one["file"]
        assert file.parent.parent == (folder / "results" / run.log).parent
        with Image.open(file) as picture:
            assert picture.size == (82, 82)


def test_show_tells_the_settings_and_the_quality_that_was_reached(folder, bench, monkeypatch):
    monkeypatch.chdir(folder)
    shown = bench("show", "wgan_smoke", *TINY).out
    assert "critic_steps 5" in shown
    assert "frechet_distance" in shown


def test_without_a_network_that_judges_nothing_starts(here, tmp_path):
    answer = here(tmp_path, "run", "wgan_smoke")
    assert answer.code == 3
    assert "bench run digits --keep-weights" in answer.err
    assert "Traceback" not in answer.err
    assert not (tmp_path / "results" / "runs" / "runs.jsonl").exists()


def test_a_sweep_skips_the_cells_whose_network_is_not_here(here, tmp_path):
    (tmp_path / "mine.yaml").write_text("recipe: wgan_smoke\naxes:\n  epochs: [1, 2]\n")
    answer = here(tmp_path, "sweep", "mine.yaml")
    assert answer.code == 3
    lines = (tmp_path / "results" / "runs" / "runs.jsonl").read_text().splitlines()
    assert {json.loads(line)["status"] for line in lines} == {"skipped"}
    assert all("bench run digits --keep-weights" in json.loads(line)["reason"] for line in lines)
