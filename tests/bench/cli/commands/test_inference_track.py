"""DAWNBench's inference track as a user goes through it: train, keep the weights, time them, rank, export, check."""

import json

import numpy as np
import pytest
from rich.console import Console

from bench.cli.commands.run import RunOptions, run
from bench.errors import UsageError

# It trains and evaluates on as many images as CIFAR-10 has.
pytestmark = pytest.mark.slow
# Two colours are told apart after a few steps.
RECIPE = """
data: cifar10
model: {name: speedrun, widths: [8, 8], unit_head: true}
memory_format: contiguous
precision: fp32
threads: 1
batch_size: 50
epochs: 0.04
target_accuracy: 0.94
evaluation: {tta: 2, batch_size: 500}
optimizer: {name: sgd, lr: 0.02, momentum: 0.9, nesterov: true}
inference: {fuse: true, memory_format: channels_last}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a recipe, and with two easy classes in CIFAR-10's numbers: others would be another task."""
    folder = tmp_path_factory.mktemp("track")
    rng = np.random.default_rng(0)
    data = {}
    for split, count in (("train", 50_000), ("test", 10_000)):
        labels = rng.integers(0, 2, count).astype(np.uint8)
        images = rng.integers(0, 120, (count, 3, 32, 32), np.uint8)
        images[labels == 1, 0] += 120
        data |= {f"{split}_x": images, f"{split}_y": labels}
    np.savez(folder / "cifar10.npz", **data)
    (folder / "easy.yaml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def runs(folder, here):
    """The output of a training and of the inference by its weights, and their records."""
    training = here(folder, "run", "easy.yaml", "--data", folder, "--keep-weights")
    assert training.code == 0, training.out + training.err
    (kept,) = (folder / "results" / "runs" / "weights").iterdir()
    options = ["--measure", "inference", "--weights", kept.stem, "--price", "3.6", "--sampling-timeout", "1"]
    inference = here(folder, "run", "easy.yaml", "--data", folder, *options)
    assert inference.code == 0, inference.out + inference.err
    lines = (folder / "results" / "runs" / "runs.jsonl").read_text().splitlines()
    return [training, inference], [json.loads(line) for line in lines]


def test_the_records_belong_together(runs):
    (training, inference), (trained, timed) = runs
    assert trained["config"]["resolved"]["kept_weights"]["sha256"] == timed["config"]["resolved"]["weights"]["sha256"]
    assert timed["config"]["resolved"]["weights"]["run_id"] == trained["run_id"]
    assert timed["config"]["weights"] == timed["config"]["resolved"]["weights"]["sha256"][:16]
    assert timed["config"]["resolved"]["norms_left"] == 0
    # What inference is to be like is no part of what was trained.
    assert "inference" not in trained["config"]
    assert timed["metrics"]["accuracy"] >= 0.94
    assert f"--measure inference --weights {trained['run_id']}" in training.out
    for words in ("cost of 10,000 images", "latency, mean", "One view an image"):
        assert words in inference.out


def test_it_is_ranked_exported_and_valid(runs, bench, folder, monkeypatch):
    _, (_, timed) = runs
    monkeypatch.chdir(folder)
    board = bench("leaderboard", "--task", "cifar10/inference", "-f", "csv")
    (row,) = [line for line in board.out.splitlines() if "easy" in line]
    assert "data not official" in row
    for words in ("no accuracy", "untrained"):
        assert words not in row
    out = bench("export", "dawnbench", timed["run_id"], "--author", "A", "--email", "a@example.org")
    assert out.code == 0, out.err
    checked = bench("check", "CIFAR10")
    assert checked.code == 0, checked.out
    (entry,) = [json.loads(path.read_text()) for path in (folder / "CIFAR10" / "inference").iterdir()]
    assert entry["latency"] == timed["metrics"]["latency_mean_ms"]
    assert entry["cost"] == pytest.approx(entry["latency"] / 3.6e6 * 3.6)
    assert entry["misc"]["weights"] == timed["config"]["resolved"]["weights"]["sha256"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weights": "2026"}, "--weights: time_to_accuracy takes none; add --measure inference"),
        ({"keep_weights": True, "measure": "inference"}, "--keep-weights: inference trains nothing"),
        ({"weights": "nothing.pt", "measure": "inference"}, "--weights nothing.pt: there is no such file"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(folder, options, words):
    with pytest.raises(UsageError, match=words):
        run(RunOptions(str(folder / "easy.yaml"), device="cpu", results=folder / "none", **options), Console())
