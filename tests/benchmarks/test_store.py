"""What the store costs: loading a hundred thousand runs, the first time and later, and adding one."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from pytest_benchmark.fixture import BenchmarkFixture

from bench.runs.frames import Frames, load
from bench.runs.run import Run, new_run_id
from bench.runs.store import Store
from bench.runs.table_cache import TableCache

RUNS = 100_000
CELLS = 1000


def realistic_run(cell: int, epochs: int, rng: random.Random) -> Run:
    """A run as `bench run cifar94` records it, with other numbers."""
    phases = ["import", "data", "build", "init", "compile", "warm_up", *["train", "eval"] * epochs, "final_eval"]
    return Run(
        run_id="RUN_ID",
        cell=f"{cell:016x}",
        recipe="cifar94",
        seed=0,
        status="ok",
        started_at="2026-11-21T02:18:20.123Z",
        sweep="architectures",
        log="logs/RUN_ID.log",
        command="bench run cifar94 --set model.groups=4 --seeds 5",
        config={
            "data": {"name": "cifar10"},
            "loader": "resident",
            "workers": None,
            "augment": {"flip": "alternating", "shift_pixels": 2, "pad": "reflect", "cutout_pixels": 0},
            "model": {"name": "speedrun", "widths": [64, 256, 256], "groups": cell},
            "memory_format": "channels_last",
            "precision": "auto",
            "compile": False,
            "warm_up_steps": 0,
            "batch_size": 2000,
            "epochs": 8,
            "target_accuracy": 0.94,
            "stop_at_target": False,
            "evaluation": {"tta": 2, "epoch_tta": 0, "every_epochs": 1, "batch_size": 1000},
            "loss": {"label_smoothing": 0.2, "reduction": "sum"},
            "optimizer": {
                "name": "sgd",
                "lr": 0.67,
                "momentum": 0.85,
                "nesterov": True,
                "groups": {
                    "filters": {"name": "muon", "lr": 0.24, "momentum": 0.6, "newton_schulz_steps": 3},
                    "biases": {"lr": 0.053, "weight_decay": 0.0755},
                },
            },
            "schedule": {"name": "linear", "start": 1.0, "end": 0.0},
            "lookahead": None,
            "device": "cuda",
            "resolved": {"precision": "pure_fp16", "threads": 2},
        },
        price_per_hour=2.5,
        metrics={
            "target_accuracy": 0.94,
            "accuracy": rng.random(),
            "reached": bool(cell % 2),
            "epochs": 8,
            "steps": 200,
            "examples": 400_000,
            "loss": rng.random(),
            "train_s": rng.random(),
            "samples_per_s": rng.random() * 1e5,
            "time_to_target_s": rng.random() if cell % 2 else None,
            "peak_host_bytes": 2_000_000_000 + cell,
            "peak_device_bytes": 5_000_000_000 + cell,
            "parameters": 1_972_792,
            "forward_flops_per_example": 236_000_000,
            "train_flops": 283_000_000_000_000,
            "total_s": rng.random(),
        },
        spans=[
            {"name": name, "start_s": i + rng.random(), "end_s": i + 1 + rng.random(), "epoch": i, "device_s": None}
            for i, name in enumerate(phases)
        ],
        epochs=[
            {"epoch": epoch, "steps": 25 * epoch, "train_s": rng.random(), "eval_s": rng.random()}
            | {"loss": rng.random(), "train_accuracy": rng.random(), "accuracy": rng.random(), "lr": rng.random()}
            for epoch in range(1, epochs + 1)
        ],
        machine={
            "id": "5dca0db44113", "device": "cuda", "cpu_model": "AMD EPYC", "cpu_stepping": "25/17/1",
            "cpu_flags": ["avx2", "avx512f"], "usable_cores": 16, "memory_bytes": 2**37, "os": "Linux",
            "gpus": [{"name": "NVIDIA H200", "count": 1, "memory_bytes": 150_754_820_096}], "torch": "2.13.0",
        },
        code={"commit": "a" * 40, "dirty": False, "sources_sha256": "b" * 64},
        data={"name": "cifar10", "fingerprint": "c" * 64, "official": True, "train_count": 50_000},
        versions={"python": "3.11.7", "torch": "2.13.0", "torchvision": "0.28.0", "numpy": "2.4.6", "ffcv": "1.0.2"},
    )  # fmt: skip


@pytest.fixture(scope="module", params=[0, 10], ids=["no_epochs", "10_epochs"])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A file of RUNS runs of CELLS cells, and the epochs in each."""
    epochs: int = request.param
    rng = random.Random(0)
    lines = [realistic_run(cell, epochs, rng).to_json_line() for cell in range(CELLS)]
    path = tmp_path_factory.mktemp("store") / "runs.jsonl"
    with open(path, "wb") as file:
        for i in range(RUNS):
            file.write(lines[i % CELLS].replace(b"RUN_ID", b"20261121T021820.%06dZ-%08x" % (i, i)))
    return path, epochs


def forget(path: Path) -> None:
    for kind in ("epochs", "runs"):
        TableCache(path, kind).path.unlink(missing_ok=True)


def check(frames: Frames, more: int = 0) -> None:
    assert len(frames.runs) == RUNS + more
    assert frames.runs["config.model.groups"].nunique() == CELLS


def test_load_for_the_first_time(benchmark: BenchmarkFixture, stored: tuple[Path, int]) -> None:
    path, _ = stored
    benchmark.extra_info["file_bytes"] = path.stat().st_size
    check(benchmark.pedantic(load, args=([path],), setup=lambda: forget(path), rounds=3))


def test_load_again(benchmark: BenchmarkFixture, stored: tuple[Path, int]) -> None:
    path, _ = stored
    load([path])
    check(benchmark.pedantic(load, args=([path],), rounds=5))


def test_load_after_one_more_run(benchmark: BenchmarkFixture, stored: tuple[Path, int]) -> None:
    path, epochs = stored
    load([path])
    size, store = path.stat().st_size, Store(path)

    def append() -> None:
        store.append(replace(realistic_run(0, epochs, random.Random(0)), run_id=new_run_id()))

    try:
        check(benchmark.pedantic(load, args=([path],), setup=append, rounds=3), more=3)
    finally:
        os.truncate(path, size)


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "again"])
def test_load_their_epochs(benchmark: BenchmarkFixture, stored: tuple[Path, int], is_first: bool) -> None:
    path, epochs = stored

    def setup() -> tuple[tuple[Frames], dict[str, Any]]:
        if is_first:
            forget(path)
        else:
            len(load([path]).epochs)
        return (load([path]),), {}

    rows = benchmark.pedantic(lambda frames: len(frames.epochs), setup=setup, rounds=2)
    assert rows == RUNS * epochs


def test_read_the_runs_of_sixteen_cells(benchmark: BenchmarkFixture, stored: tuple[Path, int]) -> None:
    path, _ = stored
    runs = benchmark.pedantic(Store(path).read, args=([f"{cell:016x}" for cell in range(16)],), rounds=3)
    assert len(runs) == 16 * RUNS // CELLS


def test_append_one_run(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    store, run = Store(tmp_path / "runs.jsonl"), realistic_run(0, 8, random.Random(0))
    benchmark(store.append, run)
    assert store.path.stat().st_size > 0
