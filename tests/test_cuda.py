"""The GPU's path from the command to the record; runs where there is a GPU, and is skipped visibly elsewhere."""

import json
import subprocess
import sys

import pytest
import torch

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
def test_a_run_on_the_gpu_is_timed_by_its_events(tmp_path, settings):
    options = [word for setting in SMALL + settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "bench", "run", "cifar94", "--device", "cuda", "--seeds", "1", *options]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (line,) = (tmp_path / "results" / "runs" / "runs.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert record["metrics"]["peak_device_bytes"] > 0
    assert record["machine"]["gpus"]
    for span in record["spans"]:
        if span["name"] in ("train", "final_eval"):
            assert 0 < span["device_s"] <= (span["end_s"] - span["start_s"]) * 1.05
