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


@pytest.mark.parametrize(
    "settings",
    [
        ["precision=pure_fp16", "compile=true", "warm_up_steps=3"],
        ["precision=pure_fp16", "compile=true", "warm_up_steps=3", "cuda_graph=true"],
        ["precision=bf16", "compile=false", "warm_up_steps=1", "cuda_graph=true", "evaluation.tta_below=0.5"],
        ["precision=fp16", "compile=false", "warm_up_steps=2"],
        ["precision=bf16", "compile=false", "warm_up_steps=0", "lookahead={every: 2}"],
        ["precision=tf32", "compile=false", "warm_up_steps=0", "loader=torch"],
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
