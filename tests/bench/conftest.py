"""What tests of the harness share: a run to vary, and DAWNBench's entries where this machine has them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.runs.run import Run, new_run_id


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Run]:
    """A small valid run, a new one at each call, with the given fields on top."""

    def make(**fields: Any) -> Run:
        standard: dict[str, Any] = {
            "run_id": new_run_id(),
            "cell": "0123456789abcdef",
            "recipe": "digits",
            "seed": 0,
            "status": "ok",
            "started_at": "2026-11-20T10:00:00.000Z",
        }
        return Run(**standard | fields)

    return make


@pytest.fixture(scope="session")
def real_entries() -> Path:
    """DAWNBench's CIFAR10 folder, $BENCH_DATA/dawnbench-entries/CIFAR10; the test is skipped where it is missing."""
    named = os.environ.get("BENCH_DATA")
    if named and (entries := Path(named) / "dawnbench-entries" / "CIFAR10").is_dir():
        return entries
    pytest.skip("no DAWNBench entries: $BENCH_DATA has no dawnbench-entries/CIFAR10")
