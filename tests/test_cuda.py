"""The GPU's path from the command to the record; runs where there is a GPU, and is skipped visibly elsewhere."""

import json
import subprocess
import sys

import pytest
import torch

from bench.host.clock import Clock
from bench.measures.time_to_accuracy import TimeToAccuracy
from bench.spec.job import Job
from bench.spec.recipes import trained_names
from tests.few_batches import with_few_batches

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SMALL = [
    "data={name: random, train_count: 4096, test_count: 1024}",
    "target_accuracy=null",
    "epochs=2",
    "batch_size=1024",
]
PLAIN = ("half_norms=false", "cuda_graph=false", "compile=false")


@pytest.fixture
def bench(tmp_path):
    """Runs a command on the GPU, with settings; what it printed, and the only record, if it left one."""

    def run(*words, settings=()):
        options = [word for setting in settings for word in ("--set", setting)]
        command = [sys.executable, "-m", "bench", *words, "--device", "cuda", *options]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
        runs = tmp_path / "results" / "runs" / "runs.jsonl"
        lines = runs.read_text().splitlines() if runs.exists() else []
        return result.stdout, *map(json.loads, lines)

    return run


@pytest.mark.parametrize(
    "settings",
    [
        ["warm_up_steps=3", "cuda_graph=false"],
        ["warm_up_steps=3"],
        ["precision=bf16", "half_norms=false", "compile=false", "warm_up_steps=1"],
        [*PLAIN, "precision=fp16", "warm_up_steps=2"],
        [*PLAIN, "precision=bf16", "warm_up_steps=0", "lookahead={every: 2}"],
        [*PLAIN, "precision=tf32", "warm_up_steps=0", "loader=torch", "drop_easy=null"],
    ],
)
def test_a_run_on_the_gpu_is_timed_by_its_events(bench, settings):
    _, record = bench("run", "cifar94", "--seeds", "1", settings=SMALL + settings)
    assert record["metrics"]["peak_device_bytes"] > 0
    assert record["machine"]["gpus"]
    for span in record["spans"]:
        if span["name"] in ("train", "final_eval"):
            assert 0 < span["device_s"] <= (span["end_s"] - span["start_s"]) * 1.05


def test_a_compiled_network_answers_requests_on_the_gpu(bench):
    words = ("run", "cifar94_inference", "--measure", "inference", "--seeds", "1", "--sampling-timeout", "2")
    _, record = bench(*words, settings=SMALL[:2])
    assert record["status"] == "ok"
    assert 0 < record["metrics"]["latency_min_ms"] <= record["metrics"]["latency_p50_ms"]


def test_a_step_on_the_gpu_is_profiled(bench):
    printed, *records = bench("profile", "cifar94", "--batch-size", "256")
    assert records == []
    assert "whiten" in printed


@pytest.mark.parametrize("name", trained_names())
def test_every_shipped_recipe_trains_on_the_gpu(name, tmp_path):
    """A few batches of its own size, compiled and captured where the recipe says so."""
    recipe = with_few_batches(name, [])
    if recipe.loader == "ffcv":
        pytest.importorskip("ffcv")
    job = Job(recipe, 0, "cuda", None, tmp_path / "cache", tmp_path / "log", 0.0)
    told = []
    measure = TimeToAccuracy(job, Clock(), lambda kind, **values: told.append((kind, values.get("status"))))
    try:
        measure.run()
    finally:
        torch.compiler.reset()
        torch.cuda.empty_cache()
    assert told[-1] == ("end", "ok")
    assert {value.device.type for value in measure._trainer.model.state_dict().values()} == {"cuda"}
    assert all(span.device_s is not None for span in measure.clock.spans if span.name in ("train", "final_eval"))
