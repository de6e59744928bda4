"""Runs and records for leaderboards, with whole seconds that can be read by eye."""

from __future__ import annotations

import itertools
from typing import Any

from msgspec.structs import replace

from bench.runs.run import Run
from bench.scores.published import PublishedResult

_NUMBERS = itertools.count()
EPOCHS = 3
CONFIG = {
    "data": {"name": "digits"},
    "model": {"name": "darknet", "block": "wide"},
    "device": "cpu",
    "warm_up_steps": 2,
    "evaluation": {"tta": 0, "epoch_tta": 0},
    "target_accuracy": 0.96,
}


def run(
    epoch_s: float = 10.0, seed: int = 0, final: float = 0.98, config: dict[str, Any] | None = None, **fields: Any
) -> Run:
    """A run of digits: 2 s of import, 1 s of data, three epochs of `epoch_s` with evaluations of 1 s.

    Its accuracies are 50 %, 90 % and `final`.
    """
    number = next(_NUMBERS)
    spans: list[dict[str, Any]] = []
    names = ["import", "data", *["train", "eval"] * EPOCHS]
    seconds = [2.0, 1.0, *[epoch_s, 1.0] * EPOCHS]
    start_s = 0.0
    for name, duration_s in zip(names, seconds, strict=True):
        spans.append({"name": name, "start_s": start_s, "end_s": start_s + duration_s, "epoch": None, "device_s": None})
        start_s += duration_s
    standard: dict[str, Any] = {
        "run_id": f"20261120T100000.{number:06d}Z-{number:08x}",
        "cell": "0123456789abcdef",
        "recipe": "digits",
        "seed": seed,
        "status": "ok" if final >= 0.96 else "not_reached",
        "started_at": "2026-11-20T10:00:00.000Z",
        "command": "bench run digits --seeds 5",
        "config": CONFIG | (config or {}),
        "metrics": {
            "target_accuracy": 0.96,
            "accuracy": final,
            "reached": final >= 0.96,
            "train_s": EPOCHS * epoch_s,
            "total_s": start_s,
            "samples_per_s": 1000 / epoch_s,
        },
        "spans": spans,
        "epochs": [{"epoch": n, "accuracy": a, "train_s": n * epoch_s} for n, a in enumerate((0.5, 0.9, final), 1)],
        "machine": {"id": "abcdef012345", "cpu_model": "A CPU", "memory_bytes": 2**34, "usable_cores": 2},
        "code": {"commit": "0" * 40, "dirty": False, "sources_sha256": "s"},
        "data": {"name": "digits", "official": True, "fingerprint": "f" * 64},
    }
    return Run(**standard | fields)


def cell(epoch_s: float, name: str, n: int = 5, spread: float = 0.01, **fields: Any) -> list[Run]:
    """`n` runs whose epochs differ a little; `name` is the recipe's and makes the cell's id."""
    return [
        run(epoch_s * (1 + spread * (i - (n - 1) / 2)), seed=i, recipe=name, cell=name.ljust(16, "0")[:16], **fields)
        for i in range(n)
    ]


def record(id: str, time_s: float, **fields: Any) -> PublishedResult:
    """A published result on digits, on the speedrun clock."""
    standard: dict[str, Any] = {
        "id": id,
        "task": "digits/train",
        "system": id,
        "hardware": "A100",
        "target_accuracy": 0.96,
        "time_s": time_s,
        "accuracy": 0.961,
        "accuracy_kind": "mean",
        "n": 10,
        "rule": "speedrun",
        "clock": "training",
        "source": "https://example.org/record",
        "date": "2024-03-30",
    }
    return PublishedResult(**standard | fields)


def crossed_sweep(seeds: int = 3) -> list[Run]:
    """Two widths, two formats and two blocks on MNIST: width 16 takes 9 s instead of 5, and bf16 halves that alone.

    What a run has of noise is not the same for a seed in all cells. One run was contended, and one cell lacks a run,
    which failed.
    """
    runs = []
    cells = itertools.product((8, 16), ("fp32", "bf16"), ("wide", "deep"))
    for place, (width, precision, block) in enumerate(cells):
        config = {"data": {"name": "mnist"}, "precision": precision, "model": {"name": "darknet", "width": width}}
        config["model"]["block"] = block  # type: ignore[index]
        for seed in range(seeds):
            noise = (seed + 2 * place) % 3
            epoch_s = (5.0 if width == 8 else 9.0) * (0.5 if (width, precision) == (16, "bf16") else 1.0)
            one = run(
                epoch_s=epoch_s * (1 + 0.01 * (noise - 1)),
                seed=seed,
                final=0.97 + 0.001 * noise + (0.01 if block == "deep" else 0.0),
                cell=f"{width:02}{precision}{block}".ljust(16, "0"),
                sweep="crossed",
                config=config,
            )
            if (width, precision, block, seed) == (8, "fp32", "wide", 1):
                one = replace(one, metrics=one.metrics | {"contended": True})
            if (width, precision, block, seed) == (16, "fp32", "deep", 2):
                one = replace(one, status="oom", reason="out of memory")
            runs.append(one)
    return runs
