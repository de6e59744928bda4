"""A task from the command line: the network that judges, then the training, its record, its pictures, its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from bench.runs.store import Store
from tests.command import bench

JUDGE = [
    "run",
    "digits",
    "--keep-weights",
    "--set",
    "model.width=4",
    "--set",
    "epochs=3",
    "--set",
    "target_accuracy=null",
]
TINY = ["--set", "model.width=4", "--set", "epochs=4", "--set", "evaluation.every_epochs=2", "--set", "task.samples=60"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results of one classifier that kept its weights, and of one WGAN."""
    folder = tmp_path_factory.mktemp("task")
    bench(*JUDGE, cwd=folder, check=True)
    bench("run", "wgan_smoke", *TINY, cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def runs(folder):
    return Store(folder / "results" / "runs" / "runs.jsonl").read()


def test_the_record_says_what_was_measured_and_by_which_network(folder, runs):
    judge, run = runs
    assert run.status == "ok"
    assert run.config["resolved"]["quality"] == {"name": "frechet_distance", "better": "lower"}
    assert run.config["resolved"]["nets"] == {"features": judge.run_id}
    assert run.config["task"]["features"]["sha256"] in judge.config["resolved"]["kept_weights"]["sha256"]
    assert run.metrics["frechet_distance"] > 0
    assert 0 < run.metrics["class_coverage"] <= 1
    assert run.metrics["batches_per_s"] > 0
    assert run.metrics["peak_host_bytes"] > 0
    assert "accuracy" not in run.metrics
    assert ["frechet_distance" in row for row in run.epochs] == [False, True, False, True]
    assert all({"loss", "generator_steps"} <= row.keys() for row in run.epochs)
    assert run.epochs[-1]["frechet_distance"] == run.metrics["frechet_distance"]
    assert [span["name"] for span in run.spans].count("draw") == 2
    assert folder.exists()


def test_pictures_are_beside_the_log(folder, runs):
    run = runs[1]
    kept = run.config["resolved"]["pictures"]
    assert [(one["name"], one["epoch"]) for one in kept] == [("samples", 2), ("samples", 4)]
    for one in kept:
        file = folder / "results" / one["file"]
        assert file.parent.parent == (folder / "results" / run.log).parent
        with Image.open(file) as picture:
            assert picture.size == (96, 96)


def test_the_table_and_the_show_tell_the_quality(folder):
    shown = bench("show", "wgan_smoke", *TINY, cwd=folder, check=True).stdout
    assert "critic_steps 5" in shown
    assert "frechet_distance" in shown
    listed = bench("results", "--columns", "recipe,frechet_distance", cwd=folder, check=True).stdout
    assert "wgan_smoke" in listed


def test_a_target_that_is_missed_and_one_that_is_reached(folder):
    missed = bench("run", "wgan_smoke", *TINY, "--set", "target_quality=0.001", cwd=folder)
    assert missed.returncode == 1
    assert "is above the target of 0.001" in missed.stdout
    reached = bench(
        "run", "wgan_smoke", *TINY, "--set", "target_quality=1e9", "--set", "stop_at_target=true", cwd=folder
    )
    assert reached.returncode == 0
    newest = Store(folder / "results" / "runs" / "runs.jsonl").read()[-1]
    assert (newest.metrics["epochs"], newest.metrics["reached"]) == (2.0, True)


def test_without_a_network_that_judges_nothing_starts(tmp_path):
    done = bench("run", "wgan_smoke", cwd=tmp_path)
    assert done.returncode == 3
    assert "bench run digits --keep-weights" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results" / "runs" / "runs.jsonl").exists()


def test_a_network_of_other_data_or_no_weights_is_refused_before_training(folder, tmp_path, runs):
    weights = folder / "results" / runs[0].config["resolved"]["kept_weights"]["file"]
    other = [
        "--set",
        "data={name: random, shape: [1, 8, 8]}",
        "--set",
        f"task.features={weights}",
        "--results",
        tmp_path,
    ]
    done = bench("run", "wgan_smoke", *TINY, *other, cwd=folder)
    assert done.returncode == 2
    assert "was trained on other data: its name is digits, and here random" in done.stderr
    (tmp_path / "none.pt").write_bytes(b"nothing")
    done = bench("run", "wgan_smoke", "--set", f"task.features={tmp_path}/none.pt", cwd=folder)
    assert done.returncode == 2
    assert "no file of weights" in done.stderr


def test_its_throughput_needs_no_network_that_judges(tmp_path):
    settings = ["--set", "model.width=4", "--measure", "throughput", "--sampling-timeout", "0"]
    bench("run", "wgan_smoke", *settings, cwd=tmp_path, check=True)
    (run,) = Store(tmp_path / "results" / "runs" / "runs.jsonl").read()
    assert run.metrics["samples_per_s"] > 0
    assert "features" not in run.config["task"]


def test_seeds_that_share_a_process_train_as_those_that_do_not(folder, runs, tmp_path):
    results = tmp_path / "results"
    judge = folder / "results" / runs[0].config["resolved"]["kept_weights"]["file"]
    again = [*TINY, "--set", f"task.features={judge}", "--results", results, "--seeds", "2", "--shared-process"]
    bench("run", "wgan_smoke", *again, cwd=folder, check=True)
    first, second = Store(results / "runs" / "runs.jsonl").read()
    assert first.cell == runs[1].cell
    assert first.metrics["frechet_distance"] == runs[1].metrics["frechet_distance"]
    assert second.metrics["frechet_distance"] != first.metrics["frechet_distance"]


def test_a_sweep_skips_the_cells_whose_network_is_not_here(tmp_path):
    (tmp_path / "mine.yaml").write_text("recipe: wgan_smoke\naxes:\n  epochs: [1, 2]\n")
    done = bench("sweep", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 3
    lines = (tmp_path / "results" / "runs" / "runs.jsonl").read_text().splitlines()
    assert {json.loads(line)["status"] for line in lines} == {"skipped"}
    assert all("bench run digits --keep-weights" in json.loads(line)["reason"] for line in lines)


def test_a_rate_that_is_far_too_high_is_a_divergence_or_a_bad_row_and_no_crash(folder):
    wild = ["--set", "optimizer.lr=1e20", "--set", "task.clip=1e20", "--set", "evaluation.every_epochs=1"]
    done = bench("run", "wgan_smoke", *TINY, *wild, cwd=folder)
    assert done.returncode in (0, 1)
    newest = Store(folder / "results" / "runs" / "runs.jsonl").read()[-1]
    assert newest.status == "diverged"
    assert "Traceback" not in done.stdout + done.stderr
