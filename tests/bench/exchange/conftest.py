"""What tests of the foreign formats share: small entries, and a run that makes one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.runs.run import Run

TRAIN = {
    "version": "v1.0",
    "author": "A. Author",
    "authorEmail": "author@example.org",
    "framework": "PyTorch 2.13.0",
    "codeURL": "https://example.org/code",
    "model": "ResNet 9",
    "hardware": "1 V100 / 61 GB, 8 CPU",
    "costPerHour": 3.06,
    "timestamp": "2018-11-06",
    "misc": {"batchSize": 512},
}
ROWS = [["1", "0.1", "55.5"], ["2", "0.2", "93.99"], ["3", "0.3", "94.0"], ["4", "0.4", "93.5"]]
INFERENCE = {key: value for key, value in TRAIN.items() if key != "costPerHour"} | {
    "latency": 0.9,
    "cost": 7.65e-7,
    "top1Accuracy": 94.2,
}


@pytest.fixture
def put_train(tmp_path: Path) -> Callable[..., Path]:
    """Write a training entry, with keys changed (None leaves one out) and rows or the whole TSV replaced."""

    def put(rows: list[list[str]] | None = None, tsv: bytes | None = None, **changes: Any) -> Path:
        path = tmp_path / "train" / "author_resnet9_1v100_pytorch.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(_changed(TRAIN, changes)))
        lines = [["epoch", "hours", "top1Accuracy"], *(ROWS if rows is None else rows)]
        text = "".join("\t".join(line) + "\n" for line in lines)
        path.with_suffix(".tsv").write_bytes(text.encode() if tsv is None else tsv)
        return path

    return put


@pytest.fixture
def put_inference(tmp_path: Path) -> Callable[..., Path]:
    """Write an inference entry with keys changed; None leaves one out."""

    def put(**changes: Any) -> Path:
        path = tmp_path / "inference" / "author_resnet9_1v100_pytorch.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(_changed(INFERENCE, changes)))
        return path

    return put


def _changed(entry: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (entry | changes).items() if value is not None}


@pytest.fixture
def cifar_run(make_run: Callable[..., Run]) -> Callable[..., Run]:
    """A run of CIFAR-10 in two epochs that reached 94.5 % by test-time augmentation; parts of it changed."""

    def make(metrics: dict[str, Any] | None = None, config: dict[str, Any] | None = None, **fields: Any) -> Run:
        standard: dict[str, Any] = {
            "recipe": "cifar94",
            "price_per_hour": 3.6,
            "started_at": "2026-11-20T10:00:00.000Z",
            "config": {
                "data": {"name": "cifar10"},
                "model": {"name": "speedrun"},
                "batch_size": 2000,
                "device": "cpu",
                "optimizer": {"name": "muon", "lr": 0.24},
                "resolved": {"precision": "bf16"},
                **(config or {}),
            },
            "metrics": {
                "target_accuracy": 0.94,
                "accuracy": 0.945,
                "reached": True,
                "epochs": 1.9,
                "steps": 19,
                "time_to_target_s": 150.0,
                "latency_mean_ms": 0.5,
                **(metrics or {}),
            },
            "spans": [
                {"name": name, "start_s": start_s, "end_s": end_s, "epoch": epoch, "device_s": None}
                for name, start_s, end_s, epoch in [
                    ("import", 0.0, 5.0, None),
                    ("data", 5.0, 8.0, None),
                    ("compile", 8.0, 36.0, None),
                    ("train", 36.0, 72.0, 1),
                    ("eval", 72.0, 82.0, 1),
                    ("train", 82.0, 118.0, 2),
                    ("eval", 118.0, 128.0, 2),
                    ("final_eval", 128.0, 150.0, None),
                ]
            ],
            "epochs": [
                {"epoch": 1, "steps": 10, "accuracy": 0.5},
                {"epoch": 2, "steps": 19, "accuracy": 0.935},
            ],
            "machine": {"cpu_model": "A CPU", "memory_bytes": 2**34, "usable_cores": 2, "gpus": []},
            "code": {"commit": "c0ffee", "dirty": False},
            "data": {"name": "cifar10", "official": True, "train_count": 50000, "test_count": 10000},
            "versions": {"torch": "2.13.0"},
        }
        return make_run(**standard | fields)

    return make
